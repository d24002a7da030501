"""Public functions, methods and dataclass fields say their types (STYLE, 9b)."""

import ast
from pathlib import Path

import pytest

import tfvision

ROOT = Path(tfvision.__file__).parent
CLI = ROOT.parent / "cli"  # installed as tfvision.cli


def test_public_names_say_their_types():
    paths = sorted([*ROOT.glob("**/*.py"), *CLI.glob("*.py")])
    offenders = [f"{path.relative_to(ROOT.parent)}: {what}" for path in paths for what in _offenders(path.read_text())]
    assert offenders == []


@pytest.mark.parametrize(
    "source, offender",
    [
        ("def draw(size) -> None: ...", "draw(size)"),
        ("def draw(*, size: int): ...", "draw ->"),
        ("def draw(*sizes, **more: int) -> None: ...", "draw(sizes)"),
        ("class Box:\n  def __init__(self, size): ...", "Box.__init__(size)"),
        ("class Box:\n  @property\n  def size(self): ...", "Box.size ->"),
        ("class Box:\n  @staticmethod\n  def of(size) -> None: ...", "Box.of(size)"),
        ("@dataclasses.dataclass(frozen=True)\nclass Box:\n  size: int\n  names: tuple = ()", "Box.names: tuple"),
        ("class Box(NamedTuple):\n  names: dict", "Box.names: dict"),
    ],
)
def test_what_lacks_a_type_is_named(source, offender):
    assert [*_offenders(source)] == [offender]


@pytest.mark.parametrize(
    "source",
    [
        "def _draw(size): ...",
        "class _Box:\n  def draw(self, size): ...",
        "class Box:\n  def __init__(self, size: int): ...\n  def draw(self) -> None: ...\n  def _fill(self, size): ...",
        "class Box:\n  @classmethod\n  def load(cls, path: Path) -> 'Box': ...",
        "def draw() -> None:\n  def inner(size): ...",
        "@dataclasses.dataclass\nclass Box:\n  names: tuple[str, ...] = ()",
    ],
)
def test_what_is_private_or_typed_passes(source):
    assert [*_offenders(source)] == []


def _offenders(source):
    yield from _in_body(ast.parse(source).body, "", is_class=False)


def _in_body(body, prefix, is_class):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _in_body(node.body, f"{prefix}{node.name}.", is_class=True)
        elif isinstance(node, ast.AnnAssign) and is_class and ast.unparse(node.annotation) in ("tuple", "dict", "list", "set", "object"):
            yield f"{prefix}{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_public(node.name):
            yield from _in_signature(node, prefix, is_class)


def _in_signature(function, prefix, is_method):
    """Arguments without a type, and a function without one; `self` and `cls` need none, and `__init__` returns nothing."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    is_static = any(isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in function.decorator_list)
    for argument in [*named[is_method and not is_static :], arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]:
        if argument and argument.annotation is None:
            yield f"{prefix}{function.name}({argument.arg})"
    if function.returns is None and function.name != "__init__":
        yield f"{prefix}{function.name} ->"


def _is_public(name):
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))
