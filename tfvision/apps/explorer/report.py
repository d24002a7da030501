"""The verdict as one self-contained page: the question, the answer in words, precision at k, who judged, the hits that were judged."""

import contextlib
from collections.abc import Mapping
from html import escape
from typing import Any

from tfvision.apps.explorer.judges import by_judge, counted
from tfvision.apps.explorer.session import Shown
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.errors import UserError
from tfvision.evaluation.page import bar, compose, inline, paragraph, section, table

_SHOWN_HITS, _FEWEST_SHOWN = 24, 6  # of a query in all layers; in each


def verdict_report(shown: Shown, notes: Mapping[str, Any], found: dict[str, Any]) -> str:
    """The page as text; `found` is what answers.verdict says of these notes."""
    title = f"Do deep features retrieve {found['question']}?"
    judged, layers = len(found["queries"]), ", ".join(found["layers"])
    facts = f"{len(shown.collection.pictures)} pictures of {shown.collection.name}; {judged} queries judged; layers: {layers}."
    headline, _, rest = (found["conclusion"] or found["draft"] or "No verdict was written.").strip().partition(". ")
    answer = f'<p class="headline">{escape(headline + "." * bool(rest))}</p>' + (paragraph(rest) if rest else "")
    figures = [paragraph(f"Drafted from the figures: {found['draft']}")] if found["conclusion"] and found["draft"] != found["conclusion"] else []
    words = "".join(paragraph(text, "note") for text in [*found["words"], _HOW])
    together = section("All queries together", _precisions(found, found["pooled"], found["drawn"]) + words)
    judges = [section("Who judged", _judges(found))] if len(found["judges"]) > 1 or any(one["name"] for one in found["judges"]) else []
    lost = [section("Queries that are lost", _lost(found["lost"]))] if found["lost"] else []
    marks = counted(by_judge(notes["questions"].get(found["question"], {"marks": {}})), found["judge"])
    return compose(title, [answer, *figures, paragraph(facts), together, *judges, *lost, *(_query(shown, found, row, marks) for row in found["queries"])])


_HOW = (
    "Precision at k is the share of the first k hits that was judged right; in brackets its 95 % interval: Wilson's, or of five "
    "queries and more that of a bootstrap over queries where it is wider, as hits of one query resemble each other. Where not all were judged, at least and "
    "at most say what it would be if none, or all, of the others were right."
)
_SEVERAL = "What most judges say counts; a picture of which as many say the one as the other counts as not judged."


def _precisions(found, layers, drawn):
    """A line for each layer and k: however many layers there are, it is no wider than the page."""
    rows = [
        [escape(name) if not number else "", f"at {one['k']}", _bar(one), f"{one['judged']} of {one['hits']}", _bounds(one)]
        for name, row in zip(found["layers"], layers, strict=True)
        for number, one in enumerate(row)
        if not number or _is_telling(one)
    ]
    rows.append(["pictures drawn at random", "", _bar(drawn), f"{drawn['judged']} of {drawn['hits']}" if drawn["hits"] else "not all", ""])
    return table(["layer", "first hits", "right", "judged", "at least, at most"], rows, [3, 4])


def _bar(one):
    if one["judged"] < one["hits"] or one["share"] is None:  # of a part of them it would be another one's share
        return "&ndash;"
    return bar(one["share"], f"{one['share']:.2f} [{one['low']:.2f}, {one['high']:.2f}]")


def _bounds(one):
    return "" if one["judged"] == one["hits"] or not one["judged"] else f"{one['least']:.2f} to {one['most']:.2f}"


def _judges(found):
    """How much each judged, and how far each two agree."""
    lines = table(["judge", "marks"], [[escape(_named(one["name"])), str(one["marked"])] for one in found["judges"]], [1])
    if not found["agreement"]:
        return lines
    pairs = [
        [escape(" and ".join(map(_named, pair["judges"]))), str(pair["pictures"]), f"{pair['same']:.2f}" if pair["pictures"] else "", _kappa(pair)]
        for pair in found["agreement"]["pairs"]
    ]
    if found["agreement"]["all"]:
        of_all = found["agreement"]["all"]
        pairs.append(["all together (Fleiss)", str(of_all["pictures"]), f"{of_all['same']:.2f}" if of_all["pictures"] else "", _kappa(of_all)])
    words = "".join(paragraph(text, "note") for text in [*found["agreement"]["words"], _SEVERAL])
    return lines + table(["judges", "pictures of both", "the same", "kappa"], pairs, [1, 2, 3]) + words


def _named(judge):
    return judge or "no name"


def _kappa(one):
    return "&ndash;" if one["kappa"] is None else f"{one['kappa']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"


def _lost(queries):
    lines = table(["query", "marks", "why"], [[escape(one["name"]), str(one["marked"]), escape(one["why"])] for one in queries], [1])
    return lines + paragraph("They count for nothing above; their marks are kept.", "note")


def _query(shown, found, row, marks):
    judged = next((marks[key] for key in marks if shown.queries.name_of(key) == row["name"]), {})
    ids, pictures = shown.collection.pictures.ids, []
    for layer in shown.collection.layers:
        with contextlib.suppress(UserError):  # answers.verdict says that one of them knows the query
            hits = shown.queries.shortlist(row["name"], layer, max(_FEWEST_SHOWN, _SHOWN_HITS // len(found["layers"])))
            cells = "".join(_picture(shown, position, judged.get(ids[position])) for position in hits)
            pictures.append(f"<figure>{paragraph(f'The first hits in {layer.name}', 'note')}{_grid(cells)}</figure>")
    told = [cut for cut in range(len(found["ks"])) if any(_is_telling(layer[cut]) for layer in row["layers"])]
    cells = [[escape(name), *(_cell(layer[cut]) for cut in told)] for name, layer in zip(found["layers"], row["layers"], strict=True)]
    lines = table(["layer", *(f"at {found['ks'][cut]}" for cut in told)], cells)
    return section(escape(row["title"]), _asked(shown, row["name"]) + lines + "".join(pictures))


def _cell(one):
    """The share with its interval, or what it is at least and at most; nothing where most is not judged."""
    if one["judged"] == one["hits"] and one["judged"]:
        return f'<span style="white-space: nowrap"><b>{one["share"]:.2f}</b> [{one["low"]:.2f}, {one["high"]:.2f}]</span>'
    return _bounds(one) if _is_telling(one) else "&ndash;"


def _is_telling(one):
    """Whether so much is judged that something can be said."""
    return bool(one["judged"]) and 2 * one["judged"] >= one["hits"]


def _grid(pictures):
    return f'<div class="photos" style="grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)); margin: 6px 0">{pictures}</div>'


def _asked(shown, name):
    if name.isdigit():
        encoded = shown.thumbnails.get(int(name))
    elif name.startswith("u:"):
        encoded = thumbnail_jpeg(shown.queries.outside_path(name))
    else:
        return ""
    style = "width: 120px; height: 120px; grid-template-columns: 1fr; margin-bottom: 14px; break-after: avoid"
    return f'<div class="photos" style="{style}">{_image(encoded, "the query")}</div>'


def _picture(shown, position, is_right):
    colour, word = {True: ("#009e73", "right"), False: ("#d55e00", "wrong"), None: ("var(--line)", "not judged")}[is_right]
    image = _image(shown.thumbnails.get(position), shown.collection.pictures.ids[position])
    return f'<div><div style="aspect-ratio: 1; border-bottom: 5px solid {colour}">{image}</div><small>{word}</small></div>'


def _image(encoded, text):
    kind = "image/webp" if encoded and encoded[:4] == b"RIFF" else "image/jpeg"
    return f'<img src="{inline(encoded, kind)}" alt="{escape(text)}">' if encoded else '<div class="nophoto">cannot be read</div>'
