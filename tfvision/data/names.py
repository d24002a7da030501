"""THE comparison of names: of taxa, ranks, columns, labels, settings.

Two names are the same where only their spelling differs: the form of their accents (Unicode's NFC and NFD), case, blanks, underscores
and hyphens between letters; and where, besides, only one of them has its author behind it ("Vanessa cardui (Linnaeus, 1758)").
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable

_MARKS = frozenset(("subsp", "ssp", "var", "f", "forma", "cf", "aff", "agg", "sp", "spp", "x", "×"))  # words of a name that are no epithets
_PARTICLES = frozenset(("de", "du", "da", "des", "van", "von", "der", "den", "la", "le", "ex", "et", "and", "in", "auct", "sensu", "non", "nec", "s"))
_YEAR = re.compile(r"[\s,(]+\(?\d{4}\)?$")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[-\u2010-\u2015](?=[^\W\d_])")


def tidy_name(text: str) -> str:
    """A name as it is kept: its accents composed (NFC), no blanks around it."""
    return unicodedata.normalize("NFC", text.strip())


def plain_name(name: str) -> str:
    """What is the same for two spellings of a name: "Vanessa_cardui", "VANESSA  CARDUI" -> "vanessa cardui"."""
    composed = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(_BETWEEN_LETTERS.sub(" ", composed.replace("_", " ")).split())


def plain_taxon(name: str) -> str:
    """As `plain_name`, without the author of a taxon and the subgenus in brackets: "Parus (Parus) major L., 1758" -> "parus major"."""
    words = unicodedata.normalize("NFC", name).replace("_", " ").split()
    if len(words) > 2 and words[0][:1].isupper():
        if words[1].startswith("(") and words[1].endswith(")") and words[2].islower():
            del words[1]
        if words[1].islower():
            return plain_name(" ".join(words[: _author_begins(words)]))
    return plain_name(_YEAR.split(name)[0].partition("(")[0] if _YEAR.search(name) else name)


class KnownNames:
    """Names that others are looked up among."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._same: list[dict[str, list[str]]] = []
        for plain in (plain_name, plain_taxon):
            same: dict[str, list[str]] = {}
            for name in self._names:
                same.setdefault(plain(name), []).append(name)
            self._same.append(same)

    def same(self, name: str) -> list[str]:
        """Those that are the same but for spelling; where there is none, those that are but for the author as well."""
        spelled, authored = self._same
        return spelled.get(plain_name(name)) or authored.get(plain_taxon(name), [])

    def find(self, name: str) -> str | None:
        """The name itself, or the only one that is the same; else None."""
        if name in self._names:
            return name
        same = self.same(name)
        return same[0] if len(same) == 1 else None

    def nearest(self, name: str, count: int = 3, least: float = 0.6) -> list[str]:
        """Those that look most alike, best first; [] where none is alike by `least`, of 1."""
        return [self._same[0][close][0] for close in difflib.get_close_matches(plain_taxon(name), self._same[0], count, least)]

    def hint(self, name: str, count: int = 3) -> str:
        """The end of a message: "; did you mean 'this' or 'that'?", or ""."""
        near = self.nearest(name, count)
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _author_begins(words: list[str]) -> int:
    """The number of words of a binomial, in front, that are no author's."""
    end = 2
    while end < len(words) and (words[end].islower() or words[end].rstrip(".").lower() in _MARKS) and not words[end].startswith("("):
        end += 1
    is_author = end < len(words) and re.match(r"\(?[^\W\d_]", words[end]) and words[end].lstrip("(")[:1].isupper()
    if not is_author:
        return len(words)
    while end > 2 and words[end - 1].rstrip(".") in _PARTICLES:
        end -= 1
    return end
