"""A progress bar with the time left, on stderr; a line now and then where stderr is no terminal."""

import sys
import time
import typing

_SECONDS_BETWEEN_LINES = 30


class ProgressBar(typing.Protocol):
    """What shows how far a long work is; also a context manager, which closes it."""

    def advance(self, count: int = 1, text: str = "") -> None:
        """So many more are done; `text` is shown beside."""

    def close(self) -> None:
        """Takes the bar away."""

    def __enter__(self) -> "typing.Self": ...

    def __exit__(self, *exception: object) -> None: ...


def progress_bar(label: str, total: int, done: int = 0, tells_time: bool = True) -> ProgressBar:
    """A bar on a terminal, else lines now and then; with `tells_time` both say how long the rest takes if all takes alike."""
    return _RichBar(label, total, done, tells_time) if sys.stderr.isatty() else _Lines(label, total, done, tells_time)


def duration(seconds: float) -> str:
    """A time for people: 0.4 s, 45 s, 12 min, 33 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


class _RichBar:
    def __init__(self, label: str, total: int, done: int, tells_time: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        left = [TimeRemainingColumn()] * tells_time
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *left, TextColumn("{task.fields[text]}"))
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120)
        self._progress.start()
        self._task = self._progress.add_task(label, total=total, completed=done, text="")

    def advance(self, count: int = 1, text: str = "") -> None:
        self._progress.update(self._task, advance=count, text=text)

    def close(self) -> None:
        self._progress.stop()

    def __enter__(self) -> "typing.Self":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Lines(_RichBar):
    def __init__(self, label: str, total: int, done: int, tells_time: bool) -> None:
        self._label, self._total, self._done, self._first, self._tells_time = label, total, done, done, tells_time
        self._started = self._printed = time.monotonic()

    def advance(self, count: int = 1, text: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            left = (now - self._started) / max(1, self._done - self._first) * (self._total - self._done)
            told = f", {duration(left)} left" if self._tells_time else ""
            print(f"{self._label}: {self._done} of {self._total}{told}  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass
