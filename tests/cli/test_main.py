import json
import os
import shlex
import subprocess
import sys

import click
import pytest

from tfvision.cli.main import COMMANDS, tfvision


def test_help_imports_nothing_heavy():
    script = "import sys; from tfvision.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    script += "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'PIL', 'scipy', 'rich'} & set(sys.modules)\nassert not heavy, heavy"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.slow
def test_the_import_of_tensorflow_tells_no_notes_but_what_else_is_written_stays():
    script = "import os; from tfvision.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    script += "import tensorflow.python, tensorflow as tf; print(tf.__version__, tf.constant(2).numpy()); os.write(2, b'of ours')"
    done = subprocess.run([sys.executable, "-c", script, "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "of ours" and done.stdout.endswith(" 2\n")


def test_what_libjpeg_says_of_a_photo_without_its_name_is_held_back():
    script = "import os, sys; from tfvision.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    script += (
        "os.write(2, b'Corrupt JPEG data: premature end of data segment\\nPremature end of JPEG file\\nabort\\n'); print('ours', file=sys.stderr); os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", script, "--version"], capture_output=True, text=True)
    assert done.returncode == -6 and sorted(done.stderr.split()) == ["abort", "ours"]


@pytest.mark.parametrize("command", [["train", "species"], ["evaluate"], ["identify"], ["data", "specimens"], ["weights", "list"]], ids=" ".join)
def test_every_help_has_an_example(run_command, command):
    code, out, _ = run_command(*command, "--help")
    assert code == 0
    assert "tfvision " + command[0] in out.replace("Usage: tfvision " + " ".join(command), "", 1)
    assert command[0] in COMMANDS


@pytest.mark.slow
@pytest.mark.usefixtures("opened_once")
def test_identify_prints_a_line_of_json_a_photo_and_errors_in_place(run_command, colour_run, colour_photos, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    photo = colour_photos / "Rosa_rubra_1.png"
    code, out, _ = run_command("identify", colour_run, photo, tmp_path / "empty.jpg", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert set(answers[0]) == {"image", "taxon", "rank", "probability", "lineage", "top"}
    assert set(answers[1]) == {"image", "error"}


@pytest.mark.slow
@pytest.mark.usefixtures("opened_once")
def test_identify_of_broken_photos_only_exits_with_one(run_command, colour_run, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    code, out, err = run_command("identify", colour_run, tmp_path / "empty.jpg")
    assert (code, out) == (1, "")
    assert "empty.jpg is empty (0 bytes)" in err


@pytest.mark.slow
@pytest.mark.usefixtures("opened_once")
def test_identify_writes_csv(run_command, colour_run, colour_photos):
    _, out, _ = run_command("identify", colour_run, colour_photos / "Rosa_rubra_1.png", "--csv", "--threshold", "0.3")
    header, row = out.splitlines()
    assert header == "image,taxon,rank,probability,lineage,error,unknown_probability,is_unknown,likeliest"
    assert "Reds > Rosa" in row


@pytest.mark.slow
@pytest.mark.usefixtures("opened_once")
def test_evaluate_prints_the_fields_others_rely_on(run_command, colour_run, colour_photos, tmp_path):
    code, out, _ = run_command("evaluate", colour_run, colour_photos, "--out", tmp_path, "--json")
    assert code == 0
    assert set(json.loads(out)) >= {"images", "accuracy", "top5", "accuracy_by_rank", "specificity", "by_class_size", "calibration_error"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "species", "nowhere"], 1, "error: nowhere does not exist"),
        (["train", "species", "--set", "batchsize=3"], 1, "did you mean batch_size"),
        (["train", "species", "--set", "batch_size"], 2, "expected key=value"),
        (["train", "species", "--recipe", "large"], 1, "recipe must be one of small"),
        (["train", "species", "--resume"], 1, "--resume needs --run DIR"),
        (["identify", "nowhere", "photo.jpg"], 1, "photo.jpg does not exist"),
        (["identify", "nowhere"], 2, "Missing argument"),
        (["evaluate", "nowhere", "x"], 1, "is nowhere a run folder"),
        (["dance"], 2, "No such command 'dance'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run_command(*arguments)
    assert got == code
    assert message in err and "Traceback" not in err
    assert out == ""


_CHATTY = (  # a command that prints what it is told
    "import sys, time, click; from tfvision.cli.main import main, tfvision; from tfvision.command_line import print_json; time.sleep(0.1)\n"
    "tfvision.add_command(click.Command('say', callback=lambda: click.echo(sys.stdin.read())))\n"
    "tfvision.get_command = lambda context, name: tfvision.commands.get(name)\nmain()"
)


@pytest.mark.parametrize(
    ("command", "to", "code", "told"),
    [
        ("say", "> /dev/full", 1, "what was to be printed cannot be written (No space left on device)"),
        ("--help", "> /dev/full", 1, "what was to be printed cannot be written (No space left on device)"),
        ("say", "| true", 0, ""),
        ("--help", "| true", 0, ""),
        ("say", ">&-", 0, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line_and_a_closed_pipe_none(command, to, code, told):
    line = f"set -o pipefail; {shlex.join([sys.executable, '-c', _CHATTY, command])} {to}"
    done = subprocess.run(["bash", "-c", line], input="x" * 99999, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (code, bool(told)) and told in done.stderr


def test_names_that_the_terminals_encoding_lacks_are_escaped(tmp_path):
    script = _CHATTY.replace("click.echo(sys.stdin.read())", "(print('Bl\\xe4uling \\udcff'), print_json({'a': '\\xe4'}))")
    done = subprocess.run([sys.executable, "-c", script, "say"], capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == 'Bl\\xe4uling \\udcff\n{"a": "\\u00e4"}\n'


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "error: memory is exhausted: give smaller photos"),
        (PermissionError(13, "Permission denied", "x/y"), "error: x/y cannot be read or written (Permission denied): allow it"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_system_refuses_is_one_line(run_command, monkeypatch, error, told):
    def fail():
        raise error

    monkeypatch.setitem(COMMANDS, "weights", (__name__, "failing"))
    monkeypatch.setattr(sys.modules[__name__], "failing", click.Command("weights", callback=fail), raising=False)
    code, out, err = run_command("weights")
    assert (code, out) == (1, "") and err.startswith(told)


def test_two_forms_of_answers_are_refused(run_command):
    code, _, err = run_command("identify", "run", "photo.jpg", "--csv", "--json")
    assert code == 2 and "--csv and --json exclude each other" in err


def _parameters(command, context):
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from _parameters(command.get_command(context, name), context)
    yield from ((command.name, parameter) for parameter in command.params)


def test_every_number_of_the_command_line_is_finite():
    from tfvision.cli.evaluate import APPLICATIONS, names_with

    commands = [tfvision, *(APPLICATIONS[name].part("commands").evaluate for name in names_with("evaluation"))]
    found = [(name, parameter) for command in commands for name, parameter in _parameters(command, click.Context(command))]
    assert len(found) > 100
    assert [(name, parameter.name) for name, parameter in found if isinstance(parameter.type, (click.types.FloatParamType, click.FloatRange))] == []


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(run_command, text):
    code, _, err = run_command("identify", "run", "photo.jpg", f"--threshold={text}")
    assert code == 2 and "is no finite number" in err
    code, _, err = run_command("stylize", "a.png", "b.png", f"--blend={text},1")
    assert code == 2 and "expected numbers like 2,1" in err
    code, _, err = run_command("stylize", "a.png", "b.png", "--set", f"style_weight={text}")
    assert code == 1 and "is not of the right kind" in err
