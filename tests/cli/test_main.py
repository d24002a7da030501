import json
import subprocess
import sys

import pytest

from tfvision.cli.main import COMMANDS


def test_help_imports_nothing_heavy():
    script = "import sys; from tfvision.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    script += "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'PIL', 'scipy', 'rich'} & set(sys.modules)\nassert not heavy, heavy"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


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


def test_identify_prints_a_line_of_json_a_photo_and_errors_in_place(run_command, colour_run, colour_photos, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    photo = colour_photos / "Rosa_rubra_1.png"
    code, out, _ = run_command("identify", colour_run, photo, tmp_path / "empty.jpg", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert set(answers[0]) == {"image", "taxon", "rank", "probability", "lineage", "top"}
    assert set(answers[1]) == {"image", "error"}


def test_identify_of_broken_photos_only_exits_with_one(run_command, colour_run, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    code, out, err = run_command("identify", colour_run, tmp_path / "empty.jpg")
    assert (code, out) == (1, "")
    assert "empty.jpg is empty (0 bytes)" in err


def test_identify_writes_csv(run_command, colour_run, colour_photos):
    _, out, _ = run_command("identify", colour_run, colour_photos / "Rosa_rubra_1.png", "--csv", "--threshold", "0.3")
    header, row = out.splitlines()
    assert header == "image,taxon,rank,probability,lineage,error"
    assert "Reds > Rosa" in row


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
