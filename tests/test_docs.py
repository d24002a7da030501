"""What the pages say is there: files, headings, commands with their options, and the picture of the rooms."""

import functools
import json
import os
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

from tfvision.applications import APPLICATIONS, names_with
from tfvision.cli.main import tfvision

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/notebooks/*.ipynb"), ROOT / "docker/README.md", ROOT / "tests/frozen/README.md"])
PROSE = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which tells of files and commands as they were
PARTS = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)  # a block of code, or code within a line
SOURCE = re.compile(r"(?<![\w./-])((?:tfvision|cli|tests|benchmarks|docker|constraints|docs|\.ci)/[\w./*-]*\w)(?![\w{*])")
CALL = re.compile(r"(\$ )?(tfvision |.*&& tfvision |(\w+=\S+ )?python benchmarks/)")
FOLDERS = ("tfvision", "cli", "tests", "benchmarks")


def _text(page):
    """A page as Markdown; of a notebook, its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = ["".join(cell["source"]) if cell["cell_type"] == "markdown" else "" for cell in json.loads(text)["cells"]]
    return "\n\n".join(cells)


def _prose(page):
    """The text without blocks of code, in which brackets mean something else and a # is no heading."""
    return re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL)


def _anchors(page):
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"\w+:", target):  # the web
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_file_that_a_page_names_is_there(page):
    files = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    named = {name for code in PARTS.findall(_text(page)) for part in code for name in re.findall(r"(?<![\w./-])[a-z_][\w/.]*\.py\b", part)}
    missing = [name for name in named if not (ROOT / name).exists() and not any(f"/{file}".endswith(f"/{name}") for file in files)]
    missing += [name for name in SOURCE.findall(_text(page)) if not list(ROOT.glob(name)) and not list((ROOT / "tfvision").glob(name))]
    assert [name for name in missing if "NAME" not in name] == []


def _shell_lines(text):
    """The lines of blocks of code and the code within lines that call `tfvision` or a benchmark, each with whether it is a whole command."""
    for block, inline in PARTS.findall(text):
        lines = block.replace("\\\n", " ").splitlines() if block else [inline]
        yield from ((line.removeprefix("$ "), bool(block) or "python benchmarks/" in line) for line in lines if CALL.match(line))


def _words(line):
    """The words of each call of tfvision in a line of a shell, and of each benchmark with its file in front."""
    shell = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    shell.whitespace_split = True
    words = None
    for word in [*shell, ";"]:
        if word == "tfvision":
            words = []
        elif word.startswith("benchmarks/") and words is None:
            words = [word]
        elif words is not None and set(word) <= set("();<>|&"):
            yield words
            words = None
        elif words is not None:
            words.append(word)


@functools.cache
def _benchmark(path):
    """The command of a benchmark; of one without click, one that knows the options of its text."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if "@click.command" not in text:
        options = [click.Option([name], is_flag=True) for name in re.findall(r'"(--[\w-]+)"', text)]
        return click.Command(path, params=[*options, click.Argument(["words"], nargs=-1)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))  # what it sets is not for the other tests
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        command = runpy.run_path(str(ROOT / path))["main"]
    for option in command.params:
        if isinstance(option.type, click.Path):
            option.type.exists = False  # photos that a page names are not here
    return command


def _candidates(words):
    """The commands that are meant, with what they are told: several for `evaluate`, which depends on the run."""
    if words and words[0].startswith("benchmarks/"):
        return [(_benchmark(words[0]), words[1:])]
    command, rest = tfvision, list(words)
    while isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z0-9-]+", rest[0]):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise LookupError(f"there is no command {rest[0]}")
        command = found
        rest = rest[1:]
    if command.name == "evaluate":
        return [(APPLICATIONS[name].part("commands").evaluate, rest) for name in names_with("evaluation")]
    return [(command, rest)]


def _fault(command, words, is_whole):
    """Why a command refuses what it is told, or ""."""
    try:
        if is_whole and not isinstance(command, click.Group) and "..." not in words:
            command.make_context(command.name, list(words))
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h", "--version"}
        unknown = [word for word in words if re.match(r"--\w|-[a-z]$", word) and word.split("=")[0] not in known]
        return f"{command.name} has no {unknown}" if unknown else ""
    except click.UsageError as error:
        return error.format_message()


def _faults(text):
    for line, is_whole in _shell_lines(text):
        try:
            for words in _words(line):
                faults = [_fault(command, told, is_whole) for command, told in _candidates(words)]
                if all(faults):
                    yield f"{line}: {faults[0]}"
        except (LookupError, ValueError) as error:
            yield f"{line}: {error}"


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_documented_command_is_understood(page):
    assert [*_faults(_text(page))] == []


@pytest.mark.parametrize(
    "text",
    [
        "```\ntfvision trian species\n```",
        "`tfvision identify --treshold`",
        "```sh\n$ tfvision evaluate runs/x photos/ --no-such-option\n```",
        "```sh\npip install . && tfvision search gallery\n```",
        "`python benchmarks/retrieval_tables.py SOURCE --seeds 1`",  # --protocol is required
        "`python benchmarks/tattoo_detection.py SOURCE OTHERS --no-such-option`",
    ],
)
def test_a_command_that_does_not_exist_is_found(text):
    assert len([*_faults(text)]) == 1


def test_the_index_has_every_page():
    linked = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs/README.md").read_text()))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")}
    assert pages - {"README.md"} <= linked


def test_the_picture_of_the_rooms_is_that_of_the_floors():
    drawing = runpy.run_path(str(ROOT / "docs/images/architecture.py"))
    floors = drawing["floors"]()
    assert set(drawing["ROOMS"]) == {room for floor in floors for room in floor}
    assert drawing["PICTURE"].read_text(encoding="utf-8") == drawing["draw"](floors), "python docs/images/architecture.py draws it anew"
