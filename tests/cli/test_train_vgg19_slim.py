import re

import pytest


def test_help_has_an_example(run_command):
    code, out, _ = run_command("train", "vgg19-slim", "--help")
    assert code == 0
    assert "tfvision train vgg19-slim my-photos/ --teacher vgg19.weights.h5" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["."], 1, "error: a training needs PHOTOS and at least one --teacher FILE"),
        (["nowhere", "--teacher", "t.npz"], 1, "error: .*nowhere is neither a folder of photos nor a manifest CSV: it does not exist"),
        ([".", "--teacher", "t.npz", "--set", "widht=3"], 1, "did you mean width"),
        (["--resume"], 1, "error: --resume needs --run DIR, the run to go on with"),
        (["--resume", "--run", "nowhere"], 1, "error: nowhere/recipe.json does not exist"),
    ],
    ids=str,
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run_command("train", "vgg19-slim", *arguments)
    assert (got, out) == (code, "")
    assert re.search(message, err) and "Traceback" not in err
