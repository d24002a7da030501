"""Licences of photos under one name, however a source writes them: CC0, CC-BY, CC-BY-NC, ..."""

import functools
import re

KNOWN_LICENCES = ("CC0", "CC-BY", "CC-BY-SA", "CC-BY-ND", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-NC-ND", "PD", "ALL-RIGHTS-RESERVED")
_CONDITIONS = {"nc": "NC", "noncommercial": "NC", "sa": "SA", "sharealike": "SA", "nd": "ND", "noderivatives": "ND", "noderivs": "ND"}
_ASIDE = {"international", "unported", "generic", "license", "licence", "public"}
_LONGEST = 200


@functools.lru_cache(4096)
def plain_licence(text: str) -> str:
    """One of KNOWN_LICENCES, "" for none, or the text itself where it is none of these.

    Versions and ports ("4.0", "3.0 DE") are left out: their conditions are the same.
    """
    text = " ".join((text or "").split())[:_LONGEST]
    lower = text.lower()
    if not lower or lower in ("none", "null", "nan", "unspecified", "unsupported", "not supplied"):
        return ""
    words = re.findall(r"[a-z]+|\d+", lower.replace("non-commercial", "noncommercial").replace("share-alike", "sharealike").replace("no-deriv", "noderiv"))
    joined = " ".join(words)
    if "cc 0" in joined or "cczero" in joined or "publicdomain zero" in joined or "public domain dedication" in joined:
        return "CC0"
    is_named_alone = words[:1] in (["by"], ["attribution"]) and all(word in _CONDITIONS or word in _ASIDE or word.isdigit() for word in words[1:])
    if is_named_alone or ("by" in words and ("cc" in words or "creativecommons" in words)) or "creative commons attribution" in joined:
        conditions = [_CONDITIONS[word] for word in words if word in _CONDITIONS]
        return "-".join(["CC-BY", *sorted(set(conditions), key=("NC", "SA", "ND").index)])
    if lower == "pd" or "publicdomain" in words or "public domain" in joined:
        return "PD"
    if lower in ("c", "©", "(c)") or "all rights reserved" in lower:
        return "ALL-RIGHTS-RESERVED"
    return text
