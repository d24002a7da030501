"""A card's photos, each with its deployment, its camera and its time put right; what is odd about them is told in a line each."""

import collections
import dataclasses
import datetime
import functools
import os
import warnings
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence

from tfvision.data.cards.capture import Capture
from tfvision.data.cards.clocks import Shift, shift_of, shifted, why_wrong
from tfvision.data.cards.deployments import Deployment, deployment_at, deployments_of
from tfvision.data.image_formats import is_raw_name
from tfvision.errors import DataError, DataWarning

_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class PlacedPhoto:
    """A photo.

    Attributes:
      name: its path relative to the card.
      capture: what its header says.
      deployment: where it belongs to.
      time: put right; None where none is known.
      clock: why the time cannot be true; "" where it can.
    """

    name: str
    capture: Capture
    deployment: Deployment
    time: datetime.datetime | None = None
    clock: str = ""
    zone_minutes: int | None = None

    @property
    def camera(self) -> str:
        """Its camera, for people: make, model and serial number, as far as they are known."""
        make, model, serial = self.capture.make, self.capture.model, self.capture.serial
        name = model if model.casefold().startswith(make.casefold()) else f"{make} {model}".strip()
        return f"{name} {serial}".strip()

    @property
    def instant(self) -> str:
        """Its time as ISO 8601 has it, with the zone where that is known; "" without a time."""
        return "" if self.time is None else iso(self.time, self.zone_minutes)


def place_photos(
    captures: Mapping[str, Capture],
    card: str,
    listed: Sequence[Deployment] = (),
    shifts: Sequence[Shift] = (),
    zone: str | None = None,
    changed: Mapping[str, datetime.datetime] | None = None,
    now: datetime.datetime | None = None,
) -> list[PlacedPhoto]:
    """Puts photos, by name, into their deployments and right in time.

    Args:
      captures: {name: what its header says}.
      card: its name, for photos that lie in no folder of a deployment.
      listed: of a deployments.csv.
      zone: of the cameras' clocks where photos do not say theirs: "+01:00" or "Europe/Berlin".
      changed: {name: when the file was changed}: the time of photos that have none.
      now: when times are in the future.

    Raises:
      DataError: a shift of no camera, deployments of which no folder is there, or a zone that is none.
    """
    deployments = deployments_of({os.path.dirname(name) for name in captures}, card, listed)
    offset, now = _zone_offset(zone), now or datetime.datetime.now()
    shift_by = functools.cache(lambda names: shift_of(names, shifts))
    photos, all_names = [], []
    for name, capture in captures.items():
        places, time = deployments[os.path.dirname(name)], capture.time or (changed or {}).get(name)
        right = None if time is None else shifted(time, shift_by(_names(capture)))  # as far as that does not depend on the deployment
        place = deployment_at(places, right, _minutes(capture, right, offset))
        all_names.append((*_names(capture), place.name))
        right = None if time is None else shifted(time, shift_by(all_names[-1]))
        clock = "" if right is None else why_wrong(right, now)
        photos.append(PlacedPhoto(name, capture, place, right, clock, _minutes(capture, right, offset)))
    _check_shifts(shifts, all_names)
    _check_listed(listed, {photo.deployment for photo in photos})
    _tell(photos, now)
    return photos


def iso(time: datetime.datetime, zone_minutes: int | None) -> str:
    """2021-05-03T14:22:33+02:00, without the zone where it is not known, and with fractions of a second only where there are any."""
    if zone_minutes is not None:
        time = time.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=zone_minutes)))
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")


def _minutes(capture, time, offset):
    """Of a photo's zone; None where nothing tells it."""
    return capture.zone_minutes if capture.zone_minutes is not None or time is None else offset(time)


def _names(capture: Capture) -> tuple[str, ...]:
    """What a photo's camera goes by."""
    both = f"{capture.make} {capture.model}".strip()
    return capture.serial, capture.model, both, f"{capture.model} {capture.serial}".strip(), f"{both} {capture.serial}".strip()


def _zone_offset(zone):
    if zone is None:
        return lambda time: None
    try:
        fixed = datetime.datetime.strptime(zone, "%z").utcoffset()
    except ValueError:
        try:
            info = zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise DataError(f"--zone is +01:00 or a name such as Europe/Berlin, got {zone!r}") from None
        return lambda time: round(time.replace(tzinfo=info).utcoffset().total_seconds() / 60)
    return lambda time: round(fixed.total_seconds() / 60)


def _check_shifts(shifts, names):
    names = set(names)
    for shift in shifts:
        if not any(shift.camera.casefold() in (one.casefold() for one in known) for known in names):
            told = sorted({next(filter(None, known)) for known in names if any(known)})
            raise DataError(f"--shift {shift.camera}: no photo is by such a camera or of such a deployment; there are {_some(told)}")


def _check_listed(listed, places):
    if not listed:
        return
    lacking = [one.name if one.folder in ("", one.name) else f"{one.name} ({one.folder})" for one in listed if one not in places]
    if len(lacking) == len(listed):
        folders = sorted({place.folder for place in places})
        raise DataError(f"the deployments name no folder of the card: {_some(lacking)}; its folders of photos are {_some(folders)}")
    if lacking:
        _warn(f"{_counted(len(lacking), 'deployment')} of the table {'has' if len(lacking) == 1 else 'have'} no photo on the card: {_some(lacking)}")


def _tell(photos, now):
    untimed = [photo for photo in photos if photo.time is None and (photo.capture.width or is_raw_name(photo.name))]  # the others are broken
    if untimed:
        _warn(
            f"{_counted(len(untimed), 'photo')} without a time, such as {untimed[0].name}: each is an event of its own, and of no activity; "
            "--file-times takes the files' times"
        )
    wrong = collections.Counter((photo.camera or photo.deployment.name, photo.clock) for photo in photos if photo.clock)
    for (camera, why), count in sorted(wrong.items()):
        first = min(photo.time for photo in photos if photo.clock == why and (photo.camera or photo.deployment.name) == camera)
        shift = f"--shift {camera!r}={'-' if first > now else '+'}TIME"
        _warn(f"{_counted(count, 'photo')} of {camera}, from {first.isoformat()} on, {why}: put the clock right with {shift}")
    for place, misdated in _misdated(photos).items():
        days = " to ".join(str(time.date()) if time else "..." for time in place.days(misdated[0].zone_minutes))
        told = f"{_counted(len(misdated), 'photo')} of {place.name}, such as {misdated[0].name} of {misdated[0].time.date()}"
        _warn(f"{told}, {'lie' if len(misdated) > 1 else 'lies'} outside of its days, {days}: are the clock and the table of deployments right?")
    if nowhere := [photo for photo in photos if (photo.capture.latitude, photo.capture.longitude) == (0, 0)]:
        _warn(f"{_counted(len(nowhere), 'photo')} at 0, 0, such as {nowhere[0].name}: satellites were not found yet; their place is left open")


def _misdated(photos):
    """{deployment: its photos that were taken before it started or after it ended}, but for those whose clock is told as wrong anyway."""
    found = collections.defaultdict(list)
    for photo in photos:
        start, end = photo.deployment.days(photo.zone_minutes)
        if photo.time is not None and not photo.clock and ((start and photo.time < start) or (end and photo.time > end)):
            found[photo.deployment].append(photo)
    return found


def _counted(count, noun):
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _warn(text):
    warnings.warn(text, DataWarning, stacklevel=2)
