"""The page that a report is written on: its template, its style and its parts, as HTML text.

One file without scripts or outside resources. Text given to `paragraph`, captions, headings of columns are
escaped here; cells and bodies are HTML already, so whoever fills them escapes what users named.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from tfvision.data.decoding import encode_jpeg

if TYPE_CHECKING:
    import numpy as np


def compose(title: str, sections: Iterable[str]) -> str:
    """The whole page: a title as plain text and sections as HTML."""
    return PAGE.format(title=escape(title), style=STYLE, sections="\n".join(sections))


def section(heading: str, body: str) -> str:
    """A framed part of the page; the body is HTML."""
    return f"<section>\n<h2>{heading}</h2>\n{body}\n</section>"


def paragraph(text: str, kind: str = "text") -> str:
    """Running text; kind "note" is set small."""
    return f'<p class="{kind}">{escape(text)}</p>'


def figure(svg: bytes, caption: str, description: str) -> str:
    """An SVG picture with its caption; the description is read aloud instead."""
    source = inline(svg, "image/svg+xml")
    return f'<figure><img src="{source}" alt="{description}"><figcaption>{escape(caption)}</figcaption></figure>'


def picture(pixels: np.ndarray, description: str) -> str:
    """A picture of uint8 [height, width, 3]."""
    return f'<figure><img src="{inline(encode_jpeg(pixels), "image/jpeg")}" alt="{escape(description)}"></figure>'


def captioned_photo(jpeg: bytes | None, caption: str, attributes: str = "", description: str = "", is_whole: bool = False) -> str:
    """A square of a `photos` grid with a caption of HTML below it.

    Args:
      jpeg: None = a note that it cannot be read.
      is_whole: whether all of the photo is shown, and not the square in its middle.
    """
    style, ratio = (' style="aspect-ratio: auto; height: auto"', "auto") if is_whole else ("", "1")
    photo = f'<img src="{inline(jpeg, "image/jpeg")}" alt="{escape(description)}"{style}>' if jpeg else '<div class="nophoto">cannot be read</div>'
    return f'<div{attributes}><div style="aspect-ratio: {ratio}">{photo}</div><small style="overflow-wrap: anywhere">{caption}</small></div>'


def inline(data: bytes, media_type: str) -> str:
    """Bytes as an address that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), kind: str = "") -> str:
    """A table of cells that are HTML already; columns in `numbers` are set flush right."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="number"' if column in numbers else "" for column in range(len(cells))]
        parts = (f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    head = f"<thead>{line([escape(cell) for cell in header], 'th')}</thead>" if header else ""
    body = "".join(line(row, "td") for row in rows)
    return f'<div class="scroll" tabindex="0"><table class="{kind}">{head}<tbody>{body}</tbody></table></div>'


def bar(share: float, label: str) -> str:
    """A horizontal bar, 0 to 1, with its label on it."""
    return f'<div class="bar"><i style="width:{100 * share:.1f}%"></i><b>{label}</b></div>'


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{sections}
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light; --ink: #24303c; --soft: #5d6a76; --line: #e1e5e9; --blue: #0072b2; --ground: #f4f6f8 }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink) }
body { font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 940px; margin: 0 auto; padding: 40px 20px 80px }
h1 { font-size: 1.2rem; font-weight: 600; color: var(--soft); margin: 0 0 10px; overflow-wrap: anywhere }
h2 { font-size: 1.25rem; margin: 0 0 14px }
a { color: var(--blue) }
.headline { font-size: 1.65rem; line-height: 1.35; font-weight: 600; margin: 0 0 28px; max-width: 36em }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin-bottom: 26px }
.tile, section { background: #fff; border: 1px solid var(--line); border-radius: 10px }
.tile { padding: 16px 18px; display: flex; flex-direction: column }
.tile span { color: var(--soft); font-size: .88rem }
.tile strong { font-size: 1.9rem; line-height: 1.3; color: var(--blue); font-variant-numeric: tabular-nums }
.tile small, figcaption, .note { color: var(--soft); font-size: .88rem; line-height: 1.45 }
section { padding: 26px 28px; margin-bottom: 22px }
p.text { margin: 0 0 16px; max-width: 46em }
p.note { margin: 12px 0 0; max-width: 52em }
figure { margin: 0 0 18px }
figure img { display: block; width: 100%; max-width: 680px; margin: 0 auto 8px }
figcaption { max-width: 48em; margin: 0 auto }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line) }
th, td { vertical-align: top; overflow-wrap: anywhere }
th { color: var(--soft); font-weight: 600; font-size: .85rem }
tbody tr:last-child td { border-bottom: 0 }
.number { text-align: right; padding-right: 0; padding-left: 16px; white-space: nowrap }
th.number { white-space: normal; overflow-wrap: normal }
td:first-child { min-width: 9em }
.facts td:first-child { width: 14em; color: var(--soft) }
.bar { position: relative; background: var(--ground); border-radius: 4px; height: 22px; min-width: 150px }
.bar { overflow: hidden }
.bar i { position: absolute; inset: 0 auto 0 0; background: #a9d0e8 }
.bar b { position: relative; font-weight: 500; font-size: .85rem; padding-left: 8px }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(390px, 1fr)); gap: 18px }
.pair { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; min-width: 0 }
.pair h3 { font-size: .95rem; font-weight: 400; line-height: 1.4; margin: 0 0 10px; overflow-wrap: anywhere }
.pair em { font-weight: 600 }
.pair small { display: block; color: var(--soft) }
.photos { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px }
.wrong { display: contents }
.reference { grid-column: 4; margin-left: 4px; border-radius: 5px; outline: 2px solid var(--blue); outline-offset: 2px }
.reference:has(.nophoto) { outline-color: var(--line) }
.photos img, .nophoto { display: block; width: 100%; height: 100%; aspect-ratio: 1; border-radius: 5px }
.photos img { object-fit: cover }
.nophoto { background: var(--ground); color: var(--soft); font-size: .72rem; line-height: 1.3; padding: 6px }
.nophoto { overflow: hidden; overflow-wrap: anywhere }
@media (max-width: 520px) {
  .pairs { grid-template-columns: 1fr }
  section { padding: 20px 16px }
  .headline { font-size: 1.3rem }
}
@media print {
  @page { size: A4; margin: 13mm }
  * { print-color-adjust: exact }
  body { background: #fff; font-size: 13px }
  main { max-width: none; padding: 0 }
  section { border: 0; padding: 0; margin-bottom: 20px }
  h1, h2, h3 { break-after: avoid }
  p, figure, tr, .tile, .pair, .photos > div { break-inside: avoid }
  thead { display: table-header-group }
  .scroll { overflow: visible }
  th, td { padding: 5px 8px 5px 0 }
  td:first-child { min-width: 0 }
  .bar { min-width: 110px }
  .number { white-space: normal }
  figure img { max-width: 100% }
}
"""
