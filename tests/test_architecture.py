"""Imports run one way (DESIGN, section 1): what stands lower may import what stands above it, never the reverse."""

import ast
import functools
from pathlib import Path

import tfvision

ROOT = Path(tfvision.__file__).parent
FLOORS = (  # a room may import the rooms of the floors above it; those of one floor know nothing of each other
    ("data", "losses"),
    ("models",),
    ("training",),
    ("trained",),
    ("features",),
    ("evaluation",),
    ("index", "export"),
    ("serving",),
    ("apps",),
    ("cli",),
)
BASE = {"errors", "files", "kinds", "progress", "applications", "command_line", "public_names", "__version__"}  # beside the rooms: every room may use them


def test_data_flows_one_way():
    assert [*_offenders(ROOT)] == []


def test_rooms_within_the_data_hang_together_without_a_circle():
    assert _circle(_imports_between(ROOT / "data", "tfvision.data.")) is None


def test_within_the_data_shards_lie_below_the_manifest_and_preparing_above_both():
    imports = _imports_between(ROOT / "data", "tfvision.data.")
    assert {"csv_table", "shards"} <= imports["manifest"] and {"manifest", "shards"} <= imports["preparing"]
    assert _reached(imports, "csv_table") == set()
    assert _reached(imports, "shards") <= {"csv_table"}
    assert [part for part, imported in imports.items() if "preparing" in imported] == []


def test_benchmarks_import_what_is_there():
    files = sorted((ROOT.parent / "benchmarks").glob("**/*.py"))
    assert [f"{file.name}: {'.'.join(name)}" for file in files for name in _imports(file) if not _is_there(name)] == []


def _is_there(name):
    """Whether a dotted name is a module, or is defined at the top of one."""
    path, parent = ROOT.joinpath(*name[1:]), ROOT.joinpath(*name[1:-1])
    return path.is_dir() or path.with_suffix(".py").exists() or name[-1] in _top_names(parent / "__init__.py" if parent.is_dir() else parent.with_suffix(".py"))


@functools.cache
def _top_names(path):
    names = set()
    for node in ast.parse(path.read_text()).body:
        is_definition = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        names |= {node.name} if is_definition else {word.id for word in ast.walk(node) if isinstance(word, ast.Name)}
    return names


def _offenders(root):
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    for path in sorted(root.glob("*/**/*.py")):
        room, *inner = path.relative_to(root).parts
        for _, imported, *rest in _imports(path):
            if imported in BASE or imported == room != "apps":
                continue
            if imported == room == "apps":
                if rest[0] != inner[0]:
                    yield f"{path.relative_to(root)}: one application imports another, {rest[0]}"
            elif floor_of[imported] >= floor_of[room]:
                yield f"{path.relative_to(root)}: {room} imports {imported}"


def _imports_between(folder, prefix):
    """{part of a folder: parts it imports}, a part being a file or a folder in it."""
    edges = {}
    for path in folder.glob("**/*.py"):
        part = path.relative_to(folder).parts[0].removesuffix(".py")
        targets = {name[len(prefix.split(".")) - 1] for name in _imports(path) if ".".join(name).startswith(prefix)}
        edges.setdefault(part, set()).update(targets - {part})
    return edges


def _reached(edges, start):
    """Parts that `start` imports, or that these import, and so on."""
    found, waiting = set(), [start]
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _circle(edges):
    """Parts that import each other in a circle, or None."""
    done = set()

    def walk(part, way):
        if part in way:
            return [*way[way.index(part) :], part]
        if part in done:
            return None
        done.add(part)
        return next((found for other in sorted(edges.get(part, ())) if (found := walk(other, [*way, part]))), None)

    return next((found for part in sorted(edges) if (found := walk(part, []))), None)


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".") for name in names if name.startswith("tfvision."))
