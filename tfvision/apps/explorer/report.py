"""The verdict as one self-contained page: the question, the answer in words, precision at k, the hits that were judged."""

import contextlib
from html import escape
from typing import Any

from tfvision.apps.explorer.session import Session
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.errors import UserError
from tfvision.evaluation.page import bar, compose, inline, paragraph, section, table

_SHOWN_HITS = 24


def verdict_report(session: Session, found: dict[str, Any]) -> str:
    """The page as text; `found` is what answers.verdict says."""
    title = f"Do deep features retrieve {found['question']}?"
    judged, layers = len(found["queries"]), ", ".join(found["layers"])
    facts = f"{len(session.collection.pictures)} pictures of {session.collection.name}; {judged} queries judged; layers: {layers}."
    answer = f'<p class="headline">{escape(found["conclusion"] or "No verdict was written.")}</p>'
    together = section("All queries together", _pooled(found) + paragraph(_HOW, "note"))
    lost = [section("Queries that are lost", _lost(found["lost"]))] if found["lost"] else []
    return compose(title, [answer, paragraph(facts), together, *lost, *(_query(session, found, row) for row in found["queries"])])


_HOW = (
    "Precision at k is the share of the first k hits that a person judged right, among those judged; in brackets Wilson's 95 % interval. "
    "Where fewer than k were judged, the number is given. Hits of one query resemble each other, so the interval of all queries together is "
    "narrower than it should be."
)


def _pooled(found):
    header = ["layer", *(f"at {k}" for k in found["ks"])]
    return table(header, [[escape(name), *map(_cell, row)] for name, row in zip(found["layers"], found["pooled"], strict=True)])


def _lost(queries):
    lines = table(["query", "marks", "why"], [[escape(one["name"]), str(one["marked"]), escape(one["why"])] for one in queries], [1])
    return lines + paragraph("They count for nothing above; their marks are kept.", "note")


def _cell(one):
    if one["share"] is None:
        return "&ndash;"
    judged = "" if one["judged"] >= one["k"] else f"<br><small>{one['judged']} of {one['k']} judged</small>"
    return bar(one["share"], f"{one['share']:.2f} [{one['low']:.2f}, {one['high']:.2f}]") + judged


def _query(session, found, row):
    marks = session.notes.read()["questions"][found["question"]]["marks"]
    judged = next(marks[key] for key in marks if session.queries.name_of(key) == row["name"])
    header = ["layer", *(f"at {k}" for k in found["ks"])]
    lines = [[escape(name), *map(_cell, layer)] for name, layer in zip(found["layers"], row["layers"], strict=True)]
    hits = _first_hits(session, row["name"])
    shown = "".join(_picture(session, position, judged.get(session.collection.pictures.ids[position])) for position in hits)
    grid = (
        f'<div class="photos" style="grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); margin-top: 18px">{_asked(session, row["name"])}{shown}</div>'
    )
    return section(escape(row["title"]), table(header, lines) + grid)


def _first_hits(session, name):
    """Those of the first layer that knows the query: answers.verdict says that one does."""
    for layer in session.collection.layers:
        with contextlib.suppress(UserError):
            return session.queries.shortlist(name, layer, _SHOWN_HITS)
    return []


def _asked(session, name):
    if name.isdigit():
        encoded = session.thumbnails.get(int(name))
    elif name.startswith("u:"):
        encoded = thumbnail_jpeg(session.queries.outside_path(name))
    else:
        return ""
    return f'<div style="outline: 3px solid var(--ink); border-radius: 5px">{_image(encoded, "the query")}</div>'


def _picture(session, position, is_right):
    colour, word = {True: ("#009e73", "right"), False: ("#d55e00", "wrong"), None: ("var(--line)", "not judged")}[is_right]
    image = _image(session.thumbnails.get(position), session.collection.pictures.ids[position])
    return f'<div style="border-bottom: 5px solid {colour}">{image}<small>{word}</small></div>'


def _image(encoded, text):
    kind = "image/webp" if encoded and encoded[:4] == b"RIFF" else "image/jpeg"
    return f'<img src="{inline(encoded, kind)}" alt="{escape(text)}">' if encoded else '<div class="nophoto">cannot be read</div>'
