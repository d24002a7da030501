"""Events: photos of one camera that follow each other within a gap, as bursts and visits do."""

import datetime
import itertools
from collections.abc import Hashable, Sequence


def events_by_gap(times: Sequence[datetime.datetime | None], cameras: Sequence[Hashable], gap_seconds: float) -> list[list[int]]:
    """Photos in events, by their numbers.

    Args:
      times: of each photo; one without is an event of its own.
      cameras: what tells the photos of one camera at one deployment from others.
      gap_seconds: between two photos of an event, at most.

    Returns:
      Events in the order of their first photos as they are given; photos of an event by time, of one time as they are given.
    """
    gap, events = datetime.timedelta(seconds=gap_seconds), []
    order = sorted((number for number, time in enumerate(times) if time is not None), key=lambda number: times[number])
    by_camera: dict[Hashable, list[int]] = {}
    for number in order:
        event = by_camera.get(cameras[number])
        if event and times[number] - times[event[-1]] <= gap:
            event.append(number)
        else:
            by_camera[cameras[number]] = event = [number]
            events.append(event)
    alone = ([number] for number, time in enumerate(times) if time is None)
    return sorted(itertools.chain(events, alone), key=min)
