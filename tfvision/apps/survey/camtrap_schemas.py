"""The tables of Camtrap DP 1.0 (https://camtrap-dp.tdwg.org/data): their fields, types and constraints."""

import typing

VERSION = "1.0.2"
ADDRESS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species", "subspecies")
_DATETIME = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}
_LATITUDE, _LONGITUDE = {"minimum": -90, "maximum": 90}, {"minimum": -180, "maximum": 180}
_NOT_NEGATIVE, _SHARE = {"minimum": 0}, {"minimum": 0, "maximum": 1}
_BOX_SIZE = {"minimum": 1e-15, "maximum": 1}
_REQUIRED, _KEY = {"required": True}, {"required": True, "unique": True}
_FEATURES = ("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge", "culvert", "burrow", "nestSite")
_FEATURES += ("carcass", "waterSource", "fruitingTree")
_PATH = r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"

_Field = dict[str, typing.Any]


def _field(name: str, kind: str | dict[str, str] = "string", **constraints: typing.Any) -> _Field:
    return {"name": name, **({"type": kind} if isinstance(kind, str) else kind), "constraints": {"required": False, **constraints}}


FIELDS: dict[str, tuple[_Field, ...]] = {
    "deployments": (
        _field("deploymentID", **_KEY),
        *(_field("locationID"), _field("locationName")),
        *(_field("latitude", "number", **_REQUIRED, **_LATITUDE), _field("longitude", "number", **_REQUIRED, **_LONGITUDE)),
        _field("coordinateUncertainty", "integer", minimum=1),
        *(_field("deploymentStart", _DATETIME, **_REQUIRED), _field("deploymentEnd", _DATETIME, **_REQUIRED)),
        *(_field("setupBy"), _field("cameraID"), _field("cameraModel"), _field("cameraDelay", "integer", **_NOT_NEGATIVE)),
        *(_field("cameraHeight", "number", **_NOT_NEGATIVE), _field("cameraDepth", "number", **_NOT_NEGATIVE)),
        *(_field("cameraTilt", "integer", **_LATITUDE), _field("cameraHeading", "integer", minimum=0, maximum=360)),
        *(_field("detectionDistance", "number", **_NOT_NEGATIVE), _field("timestampIssues", "boolean"), _field("baitUse", "boolean")),
        *(_field("featureType", enum=list(_FEATURES)), _field("habitat")),
        *(_field("deploymentGroups"), _field("deploymentTags"), _field("deploymentComments")),
    ),
    "media": (
        *(_field("mediaID", **_KEY), _field("deploymentID", **_REQUIRED)),
        *(_field("captureMethod", enum=["activityDetection", "timeLapse"]), _field("timestamp", _DATETIME, **_REQUIRED)),
        *(_field("filePath", required=True, pattern=_PATH), _field("filePublic", "boolean", **_REQUIRED), _field("fileName")),
        *(_field("fileMediatype", required=True, pattern="^(image|video|audio)/.*$"), _field("exifData", "object")),
        *(_field("favorite", "boolean"), _field("mediaComments")),
    ),
    "observations": (
        *(_field("observationID", **_KEY), _field("deploymentID", **_REQUIRED), _field("mediaID"), _field("eventID")),
        *(_field("eventStart", _DATETIME, **_REQUIRED), _field("eventEnd", _DATETIME, **_REQUIRED)),
        _field("observationLevel", required=True, enum=["media", "event"]),
        _field("observationType", required=True, enum=["animal", "human", "vehicle", "blank", "unknown", "unclassified"]),
        *(_field("cameraSetupType", enum=["setup", "calibration"]), _field("scientificName"), _field("count", "integer", minimum=1)),
        *(_field("lifeStage", enum=["adult", "subadult", "juvenile"]), _field("sex", enum=["female", "male"]), _field("behavior")),
        *(_field("individualID"), _field("individualPositionRadius", "number", **_NOT_NEGATIVE)),
        *(_field("individualPositionAngle", "number", **_LATITUDE), _field("individualSpeed", "number", **_NOT_NEGATIVE)),
        *(_field("bboxX", "number", **_SHARE), _field("bboxY", "number", **_SHARE)),
        *(_field("bboxWidth", "number", **_BOX_SIZE), _field("bboxHeight", "number", **_BOX_SIZE)),
        *(_field("classificationMethod", enum=["human", "machine"]), _field("classifiedBy"), _field("classificationTimestamp", _DATETIME)),
        *(_field("classificationProbability", "number", **_SHARE), _field("observationTags"), _field("observationComments")),
    ),
}
_KEYS = {"deployments": "deploymentID", "media": "mediaID", "observations": "observationID"}
_FOREIGN = {"media": {"deploymentID": "deployments"}, "observations": {"deploymentID": "deployments", "mediaID": "media"}}


def columns(table: str) -> tuple[str, ...]:
    """The names of a table's fields, in order."""
    return tuple(field["name"] for field in FIELDS[table])


def schema(table: str) -> dict[str, typing.Any]:
    """The Table Schema of a table, for validators without a network."""
    foreign = [{"fields": field, "reference": {"resource": other, "fields": _KEYS[other]}} for field, other in _FOREIGN.get(table, {}).items()]
    named = {"name": table, "fields": list(FIELDS[table]), "missingValues": [""], "primaryKey": _KEYS[table]}
    return {**named, **({"foreignKeys": foreign} if foreign else {})}


def address(table: str) -> str:
    """Where the official schema of a table lies."""
    return f"{ADDRESS}/{table}-table-schema.json"
