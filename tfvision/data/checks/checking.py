"""`tfvision data check`: everything that is found in a set of photos, as one result."""

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

from tfvision.data.checks import set_statistics
from tfvision.data.checks.findings import Findings, find_troubles
from tfvision.data.checks.label_names import LabelNames, odd_names
from tfvision.data.checks.near_duplicates import NEAR_DISTANCE
from tfvision.data.checks.photo_facts import CACHE_NAME, PhotoFacts, read_facts
from tfvision.data.manifest import Manifest, read_source
from tfvision.data.shards.prepared_index import is_prepared
from tfvision.data.shards.verification import Verification, verify_prepared
from tfvision.errors import RecipeError, noted_warnings


@dataclasses.dataclass(frozen=True)
class CheckSettings:
    """Where trouble begins.

    Attributes:
      min_size_px: a photo whose shorter side is below is tiny.
      blank_spread: a photo whose colours deviate less from their mean is blank, of 128 at most; the flattest of 7,940 real
        photos had 6, and a wall or a lens cap, with its noise, is below 2.
      near_distance: bits of 64 in which the hashes of near duplicates differ at most.
    """

    min_size_px: int = 64
    blank_spread: float = 4.0
    near_distance: int = NEAR_DISTANCE

    def __post_init__(self) -> None:
        if not 0 <= self.near_distance <= 12:
            raise RecipeError(f"near_distance is 0 to 12 bits of 64, got {self.near_distance}: hashes further apart tell nothing")


@dataclasses.dataclass(frozen=True)
class Check:
    """A finished check.

    Attributes:
      facts: a PhotoFacts for each record of the manifest.
      names: what is odd about the names of the labels.
      verification: of prepared data, what verify_prepared found; else None.
      warnings: what the source's table has that could not be taken as it stands.
    """

    source: str
    manifest: Manifest
    facts: list[PhotoFacts]
    findings: Findings
    names: LabelNames
    settings: CheckSettings
    verification: Verification | None = None
    warnings: tuple[str, ...] = ()

    def result(self) -> dict[str, typing.Any]:
        """All findings by image name, for report.json."""
        return _result(self)


def check_source(
    source: Path | str,
    out: Path | str,
    ranks: Sequence[str] | None = None,
    settings: CheckSettings | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Check:
    """Reads every photo of SOURCE and looks for what would spoil a training.

    Args:
      source: what manifest.read_source takes, prepared data included.
      out: a folder for the list of what was seen, so that a stopped check goes on.
      ranks: as of read_source.
      settings: CheckSettings.
      progress: called as progress(what, done, total), `what` in words.

    Returns:
      Check.

    Raises:
      DataError: the source cannot be read at all, or prepared data is cut short.
      StorageError: `out` cannot be written.
    """
    settings = settings or CheckSettings()
    with noted_warnings() as told:
        manifest = read_source(source, ranks)
    tell = progress or (lambda what, done, total: None)
    verification = _verified(Path(source), functools.partial(tell, "comparing checksums")) if Path(source).is_dir() and is_prepared(source) else None
    facts = read_facts(manifest.records, Path(out) / CACHE_NAME, functools.partial(tell, "checking photos"))
    findings = find_troubles(manifest.records, facts, settings, functools.partial(tell, "looking for near duplicates"))
    return Check(str(source), manifest, facts, findings, odd_names(manifest), settings, verification, tuple(told))


def _verified(folder, progress):
    total, done = sum(path.stat().st_size for path in folder.glob("*.tfrecord")), 0

    def on_bytes(count):
        nonlocal done
        progress(done := done + count, total)

    progress(0, total)
    return verify_prepared(folder, on_bytes)


def _result(check):
    records, facts, found = check.manifest.records, check.facts, check.findings
    label = lambda row: " / ".join(name for name in records[row].lineage if name)
    described = lambda row: {"image": records[row].name, "label": label(row), "split": records[row].split, "group": records[row].group}
    result = {
        "source": check.source,
        "images": len(records),
        "ranks": check.manifest.ranks,
        "settings": dataclasses.asdict(check.settings),
        "counts": counts(check),
        "unreadable": [{"image": records[row].name, "reason": facts[row].reason} for row in found.unreadable],
        "truncated": [{"image": records[row].name, "reason": facts[row].reason} for row in found.truncated],
        "tiny": [{"image": records[row].name, "width": facts[row].width, "height": facts[row].height} for row in found.tiny],
        "blank": [{"image": records[row].name, "spread": round(facts[row].spread, 2)} for row in found.blank],
    }
    for kind in ("duplicates", "contradictions", "near_duplicates", "straddling_groups", "straddling_duplicates"):
        result[kind] = [[described(row) for row in group] for group in getattr(found, kind)]
    return {
        **result,
        **{kind: [one._asdict() for one in found] for kind, found in check.names._asdict().items()},
        "class_sizes": set_statistics.class_sizes(records),
        "splits": set_statistics.splits(records),
        "resolutions": set_statistics.resolutions(facts),
        "formats": set_statistics.formats(facts),
        "warnings": check.warnings,
        "ignored_files": check.manifest.ignored,
        "left_out": [{"file": one.path, "reason": one.reason} for one in check.manifest.left_out],
        "prepared": _prepared(check.verification),
    }


def counts(check: Check) -> dict[str, int]:
    """How many of each kind: photos, of duplicates those beyond the first of each group; groups, and names."""
    found = check.findings
    return {
        "unreadable": len(found.unreadable),
        "truncated": len(found.truncated),
        "contradictions": sum(map(len, found.contradictions)),
        "duplicates": sum(len(group) - 1 for group in found.duplicates),
        "straddling_groups": len(found.straddling_groups),
        "straddling_duplicates": len(found.straddling_duplicates),
        "near_duplicates": len(found.near_duplicates),
        "two_parents": len(check.names.two_parents),
        "spellings": len(check.names.spellings),
        "blank": len(found.blank),
        "tiny": len(found.tiny),
    }


def _prepared(verification):
    if verification is None:
        return None
    damaged = [{"shard": shard.name, "reason": shard.reason, "records_lost": len(shard.lost), "lost": shard.lost} for shard in verification.damaged]
    return {"photos": verification.photos, "damaged": damaged, "unknown_shards": verification.extra, "is_sound": verification.is_sound}
