"""Work that takes longer than an answer may: done once in a thread, with its progress, its result kept."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, Self

from tfvision.errors import UserError

Tell = Callable[[float, str], object]  # is told how much is done, 0 to 1, and what is being done
_KEPT = 64  # results


class Job:
    """A running or finished piece of work.

    Attributes:
      share: 0 to 1, how much is done.
      stage: what is being done, for people.
      error: a text, or None.
      result: what the work returned, or None.
    """

    def __init__(self, work: Callable[[Tell], Any]) -> None:
        self.share, self.stage, self.is_done = 0.0, "waiting", False
        self.error: str | None = None
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def tell(self, share: float, stage: str) -> None:
        """Called by the work."""
        self.share, self.stage = share, stage

    def wait(self, seconds: float) -> Self:
        """Waits for the end so long at most; returns self."""
        self._thread.join(seconds)
        return self

    def _run(self, work):
        try:
            self.result = work(self.tell)
        except UserError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"this should not have happened: {type(error).__name__}: {error}"
            raise
        finally:
            self.is_done = True


class Jobs:
    """Jobs by name: the second who asks gets the first one's. Of those that are done the last ones are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job] = {}

    def start(self, name: Hashable, work: Callable[[Tell], Any]) -> Job:
        """The job of a name, begun now if there is none; one that failed is begun again."""
        with self._lock:
            job = self._jobs.pop(name, None)
            if job is None or job.error:
                job = Job(work)
            for old in [one for one, other in self._jobs.items() if other.is_done][:-_KEPT]:
                del self._jobs[old]
            self._jobs[name] = job
            return job
