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


def progress_bar(label: str, total: int, done: int = 0) -> ProgressBar:
    """A bar on a terminal, else lines now and then."""
    return _RichBar(label, total, done) if sys.stderr.isatty() else _Lines(label, total, done)


class _RichBar:
    def __init__(self, label: str, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
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
    def __init__(self, label: str, total: int, done: int) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
        self._started = self._printed = time.monotonic()

    def advance(self, count: int = 1, text: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            left = (now - self._started) / max(1, self._done - self._first) * (self._total - self._done)
            print(f"{self._label}: {self._done} of {self._total}, {left:.0f} s left  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass
