"""Deployments as a survey found them: where they are, from when to when, and by which camera."""

import collections
import dataclasses
import datetime
import statistics
from collections.abc import Sequence

from tfvision.apps.survey.observations import UNREADABLE, MediaRow
from tfvision.data.cards.deployments import Deployment


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A deployment and its photos.

    Attributes:
      deployment: as folders or a table say.
      media: its photos that could be read.
      latitude, longitude: of the table, else the median of its photos; None where none has a place.
      start, end: of the table, else of its photos; None without a time.
      zone_minutes: of its photos, where that is known.
    """

    deployment: Deployment
    media: tuple[MediaRow, ...]
    latitude: float | None
    longitude: float | None
    start: datetime.datetime | None
    end: datetime.datetime | None
    zone_minutes: int | None

    @property
    def camera_days(self) -> int:
        """Days on which it stood, the first and the last included."""
        return 0 if self.start is None or self.end is None else (self.end.date() - self.start.date()).days + 1

    @property
    def has_wrong_times(self) -> bool:
        """Whether its zone is not known, or a clock was wrong."""
        timed = [row.photo for row in self.media if row.photo.time is not None]
        return any(photo.clock or photo.zone_minutes is None for photo in timed)


def is_placed(row: MediaRow) -> bool:
    """Whether a photo says where it was taken; 0, 0 is no place."""
    return row.photo.capture.latitude is not None and (row.photo.capture.latitude, row.photo.capture.longitude) != (0, 0)


def deployed(media: Sequence[MediaRow]) -> list[Deployed]:
    """The deployments of photos, in the order of their names."""
    by_deployment: dict[Deployment, list[MediaRow]] = collections.defaultdict(list)
    for row in media:
        if row.status != UNREADABLE:
            by_deployment[row.photo.deployment].append(row)
    return sorted((_deployed(deployment, rows) for deployment, rows in by_deployment.items()), key=lambda one: (one.deployment.name, one.deployment.folder))


def _deployed(deployment, rows):
    latitude, longitude = deployment.latitude, deployment.longitude
    placed = [row.photo.capture for row in rows if is_placed(row)]
    if latitude is None and placed:
        latitude, longitude = (round(statistics.median(getattr(one, side) for one in placed), 7) for side in ("latitude", "longitude"))
    times = [row.photo.time for row in rows if row.photo.time is not None and not row.photo.clock]
    times = times or [row.photo.time for row in rows if row.photo.time is not None]
    zones = collections.Counter(row.photo.zone_minutes for row in rows if row.photo.zone_minutes is not None)
    zone = zones.most_common(1)[0][0] if zones else None
    start, end = deployment.days(zone)
    return Deployed(deployment, tuple(rows), latitude, longitude, start or min(times, default=None), end or max(times, default=None), zone)
