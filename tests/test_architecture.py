"""Imports run one way (DESIGN, section 1): what stands lower may import what stands above it, never the reverse."""

import ast
from pathlib import Path

import pytest

import tfvision

ROOT = Path(tfvision.__file__).parent
LAYERS = ["data", "losses", "models", "training", "features", "evaluation", "index", "export", "serving", "apps"]
MAY_IMPORT = {
    "data": set(),
    "losses": set(),
    "models": {"data"},
    "training": {"data", "losses", "models"},
    "features": {"data", "losses", "models", "training"},
    "evaluation": {"data", "losses", "models", "training"},
    "index": {"data", "losses", "models", "training", "features", "evaluation"},
    "export": {"data", "losses", "models", "training", "features", "evaluation"},
    "serving": {"data", "losses", "models", "training", "features", "evaluation", "export"},
    "apps": set(LAYERS) - {"apps"},
}
BASE = {"errors", "runs", "progress", "__version__"}  # what every layer may use


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".") for name in names if name.startswith("tfvision."))


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/**/*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_data_flows_one_way(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "cli":
        return
    for _, layer, *rest in _imports(path):
        if layer in BASE or layer == parts[0] != "apps":
            continue
        if parts[0] == "apps" and layer == "apps":
            assert rest[0] == parts[1], f"one application imports another: {rest[0]}"
            continue
        assert layer in MAY_IMPORT[parts[0]], f"{parts[0]} imports {layer}"
