"""Names that stand where a taxon would and are none: camera traps' and detectors' words for nothing, people and vehicles."""

from tfvision.data.names import plain_name

BLANK, HUMAN, VEHICLE = "blank", "human", "vehicle"
_WORDS = {
    BLANK: ("blank", "empty", "nothing", "none", "no animal", "background", "misfire", "false trigger", "ghost"),
    HUMAN: ("human", "humans", "person", "people", "man", "woman"),
    VEHICLE: ("vehicle", "vehicles", "car", "truck", "bus", "motorcycle", "motorbike", "bicycle", "boat", "train", "airplane", "aeroplane"),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}


def kind_of_word(name: str) -> str:
    """BLANK, HUMAN or VEHICLE where a name, in whatever spelling, is a word for it; else ""."""
    return _KINDS.get(plain_name(name), "")
