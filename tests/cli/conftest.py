import shutil

import PIL.Image
import pytest


@pytest.fixture
def run_command(capsys):
    """A function that runs the command line in this process: (exit code, stdout, stderr)."""
    from tfvision.cli.main import main

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def small_gallery(colour_photos, tmp_path_factory):
    """A gallery of colour_photos, seen by the small network with random weights: it opens in a third of the time that colour_run takes."""
    from tfvision.features.recipe import FeatureRecipe
    from tfvision.index.making import build_gallery

    folder = tmp_path_factory.mktemp("galleries") / "small"
    build_gallery(colour_photos, folder, FeatureRecipe("small", weights="none", image_size=32))
    return folder


@pytest.fixture
def gallery(colour_gallery, tmp_path):
    """A copy of colour_gallery; its images are absent."""
    return shutil.copytree(colour_gallery, tmp_path / "gallery")


@pytest.fixture
def more_photos(tmp_path):
    """new/red.png, new/blue.png and new/broken.jpg."""
    folder = tmp_path / "new"
    folder.mkdir()
    for name, colour in {"red": (200, 40, 40), "blue": (40, 60, 200)}.items():
        PIL.Image.new("RGB", (40, 48), colour).save(folder / f"{name}.png")
    (folder / "broken.jpg").write_text("This is a text.")
    return folder
