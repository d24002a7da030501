"""What is seen of a stylization while it runs: a progress bar with losses and time left, the preview, pictures on the way."""

import time
from pathlib import Path

from tfvision.apps.style.growth import Growth
from tfvision.apps.style.pictures import write_picture
from tfvision.apps.style.stylization import Progress
from tfvision.progress import duration, progress_bar

_FADING = 1e-9  # of what a measurement counts, once all the work was done since: after a tenth, an eighth


class Watch:
    """Called with the Progress of each iteration of one picture; a context manager.

    Args:
      label: of the bar.
      preview: growth.Growth, or None.
      steps: folder for the pictures on the way.
      save_every: iterations between them; 0 = none.
    """

    def __init__(self, label: str, preview: Growth | None = None, steps: str | Path = "", save_every: int = 0):
        self._clock, self._preview, self._steps, self._save_every = Clock(), preview, steps, save_every
        self._bar, self._percent = progress_bar(label, 100, tells_time=False), 0

    def __call__(self, progress: Progress) -> None:
        share, seconds_left = self._clock.read(progress)
        percent = int(100 * share)
        losses = f"content {progress.content_loss:.4g}, style {progress.style_loss:.4g}"
        left = "" if seconds_left is None else f"about {duration(seconds_left)} left, "
        self._bar.advance(percent - self._percent, f"{left}iteration {progress.iteration} of {progress.iterations}, {losses}")
        self._percent = percent
        if self._save_every and progress.iteration % self._save_every == 0:
            write_picture(Path(self._steps) / f"{progress.iteration:05d}.png", progress.picture())
        if self._preview:
            self._preview.update(progress, share, seconds_left)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


class Clock:
    """Tells the time left from the seconds that work took so far.

    Of what lies between the scales (targets, graphs) nothing is known before it is over, so that seconds count from the second iteration of a scale
    on. The latest count most: a scale's own seconds stand for what is left.
    """

    def __init__(self) -> None:
        self._scale, self._last, self._seconds, self._work = 0, (0.0, 0.0), 0.0, 0.0

    def read(self, progress: Progress) -> tuple[float, float | None]:
        """(share done, seconds left or None) after an iteration."""
        now, (before, done_before) = time.monotonic(), self._last
        if progress.scale == self._scale:
            fading = _FADING ** ((progress.work_done - done_before) / progress.work)
            self._seconds = fading * self._seconds + now - before
            self._work = fading * self._work + progress.work_done - done_before
        self._scale, self._last = progress.scale, (now, progress.work_done)
        share = progress.work_done / progress.work
        return share, self._seconds / self._work * (progress.work - progress.work_done) if self._work else None
