"""Draws architecture.svg from the floors to which tests/test_architecture.py holds the imports: python docs/images/architecture.py"""

import ast
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_suffix(".svg")
ROOMS = {
    "cli": "click commands: parse, call one function, print",
    "apps": "species, tattoos, style, retrieval, explorer: a folder each",
    "serving": "TensorFlow Serving's protocol, spoken locally",
    "index": "galleries and their search",
    "export": "SavedModels, verified",
    "evaluation": "accuracy, rankings, calibration, reports",
    "features": "images to vectors, by any network",
    "trained": "a run on disk, and its network",
    "training": "THE session and THE loop, recipes, checkpoints",
    "models": "a catalogue, and one file a network",
    "data": "photos to batches of pixels",
    "losses": "pure functions of tensors",
}
BASE = "errors, files, progress, command_line, public_names; applications, the one table"
FLOWS = {  # through which rooms each goes
    "training": {"cli", "apps", "evaluation", "trained", "training", "models", "data", "losses"},
    "answer": {"cli", "apps", "evaluation", "trained", "models", "data"},
    "gallery": {"cli", "index", "features", "trained", "models", "data"},
    "deployment": {"cli", "apps", "serving", "export", "trained", "models", "data"},
}
COLOURS = ("#b3441e", "#1f6f43", "#2457a6", "#7a3e9d")
WIDTH, MARGIN, ROW, BOX, ROOMS_WIDTH, COLUMN = 1000, 20, 50, 40, 600, 90


def floors():
    """FLOORS of the test, without importing it: the foundations first."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    assigned = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    return ast.literal_eval(assigned["FLOORS"])


def draw(floors):
    """The picture as text. It has a ground of its own, so that it is legible on a light page and on a dark one."""
    top = 62
    height = top + ROW * (len(floors) + 1) + 34
    parts = [_box(0, 0, WIDTH, height, "#ffffff", "#d0d4da"), _text(MARGIN, 36, "Rooms and their floors", 17, weight="bold")]
    for number, rooms in enumerate(reversed(floors)):
        parts += _floor(rooms, top + ROW * number)
    y = top + ROW * len(floors)
    parts += [_box(MARGIN, y, ROOMS_WIDTH, BOX, "#e9ebee", "#9aa3ae"), _text(MARGIN + 12, y + 25, BASE, 13)]
    for number, (flow, rooms) in enumerate(FLOWS.items()):
        parts += _flow(flow, rooms, floors, MARGIN + ROOMS_WIDTH + 52 + COLUMN * number, top, COLOURS[number])
    parts.append(_text(MARGIN, height - 16, "Imports go down only; rooms of one floor do not know each other; the lowest strip serves all.", 13))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif">'
    return "\n".join([head, *parts, "</svg>", ""])


def _floor(rooms, y):
    width = (ROOMS_WIDTH - 10 * (len(rooms) - 1)) / len(rooms)
    for number, room in enumerate(rooms):
        x = MARGIN + number * (width + 10)
        yield _box(x, y, width, BOX, "#eef4fb", "#5b7fa8")
        yield _text(x + 12, y + 25, room, 15, weight="bold")
        yield _text(x + 114, y + 25, ROOMS[room], 13)


def _flow(name, rooms, floors, x, top, colour):
    heights = [top + ROW * number + BOX / 2 for number, floor in enumerate(reversed(floors)) if rooms & set(floor)]
    yield _text(x, 36, name, 13, colour, "bold", "middle")
    yield f'<line x1="{x}" y1="{heights[0]}" x2="{x}" y2="{heights[-1]}" stroke="{colour}" stroke-width="2"/>'
    yield from (f'<circle cx="{x}" cy="{y}" r="7" fill="{colour}"/>' for y in heights)


def _box(x, y, width, height, fill, stroke):
    return f'<rect x="{x}" y="{y}" width="{width:g}" height="{height}" rx="6" fill="{fill}" stroke="{stroke}"/>'


def _text(x, y, text, size, fill="#1c2733", weight="normal", anchor="start"):
    return f'<text x="{x:g}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(floors()), encoding="utf-8")
