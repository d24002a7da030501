"""What is seen of a stylization while it runs: a progress bar with losses and time left, the preview, pictures on the way."""

import time
from pathlib import Path

from tfvision.apps.style.growth import Growth
from tfvision.apps.style.pictures import write_picture
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.stylization import Progress
from tfvision.progress import progress_bar

_ITERATION_COST = 0.02  # of what does not grow with the picture, as a share of an iteration at full size


class Watch:
    """Called with the Progress of each iteration of one picture; a context manager.

    Args:
      label: of the bar.
      preset: Preset.
      preview: growth.Growth, or None.
      steps: folder for the pictures on the way.
      save_every: iterations between them; 0 = none.
    """

    def __init__(self, label: str, preset: Preset, preview: Growth | None = None, steps: str | Path = "", save_every: int = 0):
        self._clock, self._preview, self._steps, self._save_every = Clock(preset), preview, steps, save_every
        self._bar, self._percent = progress_bar(label, 100), 0

    def __call__(self, progress: Progress) -> None:
        share, seconds_left = self._clock.read(progress)
        percent = int(100 * share)
        losses = f"content {progress.content_loss:.4g}, style {progress.style_loss:.4g}"
        self._bar.advance(percent - self._percent, f"iteration {progress.iteration} of {progress.iterations}, {losses}")
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
    """Estimates the time left: an iteration costs as the pixels of its scale."""

    def __init__(self, preset: Preset):
        scales = [*preset.scales, (1.0, preset.iterations)]
        self._costs = [share**2 + _ITERATION_COST for share, _ in scales]
        self._counts = [count for _, count in scales]
        self._began: float | None = None
        self._done = 0.0

    def read(self, progress: Progress) -> tuple[float, float | None]:
        """(share done, seconds left or None) after an iteration."""
        costs, counts = self._costs[-progress.scales :], self._counts[-progress.scales :]  # the coarsest may be left out
        here = progress.scale - 1
        of_later = sum(cost * count for cost, count in zip(costs[here + 1 :], counts[here + 1 :], strict=True))
        left = of_later + costs[here] * (progress.iterations - progress.iteration - sum(counts[here + 1 :]))
        total = sum(cost * count for cost, count in zip(costs, counts, strict=True))
        if self._began is None:  # the first iteration compiles: it tells nothing
            self._began = time.monotonic()
            return 1 - left / total, None
        self._done += costs[here]
        return 1 - left / total, (time.monotonic() - self._began) / self._done * left
