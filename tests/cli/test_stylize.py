import json

import numpy as np
import PIL.Image
import pytest

QUICK = ("--network", "vgg19_slim", "--size", "48", "--set", "scales=[]", "--iterations", "2")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The folder that commands run in: photo.jpg, painting.png and a folder `photos` with one of them and a text."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "painting.png", "photos/1.jpg"):
        small = PIL.Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((64, 48), PIL.Image.Resampling.BICUBIC).save(name)
    for name in ("photos/2.jpg", "text.mp4"):
        (tmp_path / name).write_text("This is a text.")
    return tmp_path


@pytest.mark.slow
def test_it_prints_the_fields_others_rely_on(run_command, files):
    code, out, _ = run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", *QUICK, "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result) == {"output", "iterations", "content_loss", "style_loss", "seconds"}
    assert (result["output"], result["iterations"]) == ("out.png", 2)
    record = json.loads((files / "out.png.json").read_text())
    assert record["command"] == "tfvision stylize photo.jpg painting.png -o out.png " + " ".join(QUICK).replace("scales=[]", "'scales=[]'") + " --json"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "printed"])
def test_the_papers_presets_want_vgg19_and_say_what_to_do_without(run_command, files, monkeypatch, preset):
    monkeypatch.setenv("KERAS_HOME", str(files))
    monkeypatch.delenv("TFVISION_WEIGHTS", raising=False)
    code, out, err = run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", "--preset", preset)
    assert (code, out) == (1, "") and "VGG19's weights are not on this machine and could not be downloaded" in err
    assert "--network vgg19_slim" in err and "tfvision weights list" in err and "Traceback" not in err
    code, _, err = run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", "--preset", preset, *QUICK)
    settings = json.loads((files / "out.png.json").read_text())["settings"]["preset"]
    assert code == 0 and (settings["name"], settings["is_normalised"]) == (preset, preset == "paper")
    assert settings["response_mean"] == (75 if preset == "paper" else 1)


@pytest.mark.slow
def test_a_record_gives_the_same_bytes_and_takes_other_options(run_command, files):
    run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", *QUICK, "--start", "noise", "--seed", "5", "--match-colour")
    code, out, err = run_command("stylize", "--like", "out.png.json", "-o", "again.png")
    assert code == 0 and "again.png  2 iterations" in out and "note:" not in err
    assert (files / "again.png").read_bytes() == (files / "out.png").read_bytes()
    code, _, err = run_command("stylize", "--like", "out.png", "painting.png", "photo.jpg", "--seed", "6", "-o", "other.png")
    assert code == 0 and "note: photo: not what it was then, so the picture may differ" in err
    changed = json.loads((files / "other.png.json").read_text())
    assert changed["settings"]["colour"] == "histogram" and changed["settings"]["preset"]["seed"] == 6
    assert changed["files"]["photo"][0]["path"] == "painting.png"


def test_a_folder_prints_a_line_a_photo_and_errors_in_place(run_command, files):
    code, out, _ = run_command("stylize", "photos", "painting.png", *QUICK, "--json")
    made, broken = map(json.loads, out.splitlines())
    assert code == 0 and made["output"] == "photos-painting/1.jpg"
    assert set(broken) == {"photo", "error"} and "photos/2.jpg is no image" in broken["error"]
    (files / "photos" / "1.jpg").unlink()
    code, out, err = run_command("stylize", "photos", "painting.png", *QUICK)
    assert (code, out) == (1, "") and "error: photos/2.jpg is no image" in err


@pytest.mark.slow
def test_the_preview_tells_its_address(run_command, files):
    code, _, err = run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", *QUICK, "--preview", "--no-browser")
    assert code == 0 and "preview at http://127.0.0.1:" in err


def test_pictures_on_the_way_are_kept(run_command, files):
    assert run_command("stylize", "photo.jpg", "painting.png", "-o", "out.png", *QUICK, "--save-every", "1")[0] == 0
    assert sorted(path.name for path in (files / "out.png.steps").iterdir()) == ["00001.png", "00002.png"]


def test_films_are_painted_fast_unless_another_preset_is_asked_for(run_command, files, draw_film, monkeypatch):
    from tfvision.apps.style import film_painter

    class Inverting:
        def __init__(self, job, paintings):
            assert job.is_fast

        def begin(self, photo):
            pass

        def paint(self, photo):
            return 255 - photo

        def finish(self, photo, picture):
            return picture

    monkeypatch.setattr(film_painter, "FastPainter", Inverting)
    draw_film(files / "film.mp4", range(3))
    code, out, _ = run_command("stylize", "film.mp4", "painting.png", "-o", "out.mp4", "--size", "64")
    assert code == 0 and out.startswith("out.mp4  3 frames, 1 scene, ") and "unsteadiness" in out
    assert json.loads((files / "out.mp4.json").read_text())["settings"]["is_fast"]
    code, out, _ = run_command("stylize", "film.mp4", "painting.png", "-o", "out.mp4", "--size", "64", "--resume", "--json")
    result = json.loads(out)
    assert code == 0 and (result["frames"], result["scenes"], result["content_loss"]) == (3, 1, None)


@pytest.mark.slow
def test_reconstruct_and_style_sheet(run_command, files, monkeypatch):
    from tfvision.apps.style import figures

    monkeypatch.setattr(figures, "STYLE_LAYERS", ("conv1_1",))
    quick = ("--network", "vgg19_slim", "--size", "32", "--iterations", "1", "--json")
    for arguments, output in (
        (["reconstruct", "content", "photo.jpg", "--layer", "conv1_1"], "photo-content-conv1_1.png"),
        (["reconstruct", "style", "painting.png", "--layer", "conv1_1,conv2_1"], "painting-style-conv1_1-conv2_1.png"),
        (["style-sheet", "photo.jpg", "painting.png"], "photo-painting-sheet.png"),
    ):
        code, out, _ = run_command(*arguments, *quick)
        assert (code, json.loads(out)["output"]) == (0, output)
        assert (files / output).exists()


@pytest.mark.parametrize("command", ["stylize", "reconstruct", "style-sheet"])
def test_every_help_has_an_example_and_the_presets_own_defaults(run_command, command):
    code, out, _ = run_command(command, "--help")
    assert code == 0
    assert f"  tfvision {command} " in out and "[default: 512]" in " ".join(out.split())
    assert ("500" in out) == (command != "stylize")  # iterations of the paper's preset


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stylize"], 2, "give a photo and a painting: tfvision stylize PHOTO PAINTING..."),
        (["stylize", "photo.jpg"], 2, "give a photo and a painting"),
        (["stylize", "photo.jpg", "painting.png", "--preset", "slow"], 1, "error: preset must be one of default, paper, printed or fast, got 'slow'"),
        (["stylize", "photo.jpg", "painting.png", "--size", "8"], 1, "error: size must be at least 16 pixels, got 8"),
        (["stylize", "photo.jpg", "painting.png", "--set", "sise=8"], 1, "did you mean size"),
        (["stylize", "photo.jpg", "painting.png", "--set", "size"], 2, "expected key=value, got 'size'"),
        (["stylize", "photo.jpg", "painting.png", "--blend", "1,much"], 2, "expected numbers like 2,1, got '1,much'"),
        (["stylize", "photo.jpg", "painting.png", "--optimizer", "sgd"], 1, "optimizer must be one of lbfgs, adam, got 'sgd'"),
        (["stylize", "photo.jpg", "painting.png", "--network", "gone.npz"], 1, "gone.npz does not exist"),
        (["stylize", "photo.jpg", "gone.png"], 1, "error: gone.png cannot be read (No such file or directory)"),
        (["stylize", "photo.jpg", "photos"], 1, "error: photos is a folder: a painting or a mask is one file"),
        (["stylize", "photo.jpg", "painting.png", "--strength", "2"], 1, "error: --strength must lie between 0 (the photo) and 1"),
        (
            ["stylize", "photo.jpg", "painting.png", "--preset", "fast", "--module", "photo.jpg,b.tflite"],
            1,
            "error: photo.jpg is a damaged TFLite file, or none",
        ),
        (["stylize", "gone.mp4", "painting.png"], 1, "error: gone.mp4 cannot be read (No such file or directory)"),
        (["stylize", "text.mp4", "painting.png", "-o", "1.mp4"], 1, "error: text.mp4 is no film that can be read"),
        (["stylize", "text.mp4", "painting.png", "-o", "1.jpg"], 1, "error: --out must end in .mp4, .m4v, .mov, .mkv, .gif, .webp, as a film does"),
        (["stylize", "--like", "gone.json"], 1, "error: gone.json does not exist: give the record"),
        (["reconstruct", "light", "photo.jpg"], 2, "'light' is not one of 'content', 'style'"),
        (["reconstruct", "content", "photo.jpg", "--layer", "conv9_9"], 1, "--layer must be of conv1_1"),
        (["reconstruct", "content", "photo.jpg", "--preset", "fast"], 1, "preset must be one of default, paper, printed, got 'fast'"),
        (["style-sheet", "photo.jpg"], 2, "Missing argument 'PAINTING'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, files, arguments, code, message):
    got, out, err = run_command(*arguments)
    assert got == code
    assert message in err and "Traceback" not in err and out == ""
    assert code == 2 or len([line for line in err.splitlines() if line.startswith("error:")]) == 1
