import dataclasses
from pathlib import Path

import PIL.Image
import pytest

from tfvision.apps.style import figures
from tfvision.apps.style.figures import reconstruct_file, style_sheet_file
from tfvision.apps.style.job import StudioOptions
from tfvision.apps.style.presets import get_preset
from tfvision.apps.style.reconstruction import reconstruct
from tfvision.data.picture_file import read_picture_file
from tfvision.errors import DataError, RecipeError

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def preset(tmp_path, photo, painting, monkeypatch):
    """The paper's preset, small and short; photo.png and painting.png are where the commands run."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(photo).save("photo.png")
    PIL.Image.fromarray(painting).save("painting.png")
    return dataclasses.replace(get_preset("paper"), network="vgg19_slim", size=32, iterations=1)


def test_one_layer_gives_the_picture_of_reconstruct(preset, photo):
    result = reconstruct_file("content", "photo.png", ["conv2_1"], preset)
    assert result["output"] == "photo-content-conv2_1.png"
    expected = reconstruct("content", photo, ["conv2_1"], preset)
    assert (read_picture_file(result["output"]).pixels == expected.picture).all()
    assert result["content_loss"] == expected.content_loss
    assert Path("photo-content-conv2_1.png.json").exists()


@pytest.mark.slow
def test_without_layers_the_row_of_figure_1_is_made_and_gone_on_with(preset, monkeypatch):
    monkeypatch.setattr(figures, "STYLE_LAYERS", ("conv1_1", "conv2_1", "conv3_1"))
    made = []
    real = figures.reconstruct

    def stop_at_third(kind, pixels, layers, *arguments, **options):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(layers)
        return real(kind, pixels, layers, *arguments, **options)

    monkeypatch.setattr(figures, "reconstruct", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_file("style", "painting.png", (), preset, "row.png")
    assert made == [("conv1_1",), ("conv1_1", "conv2_1")]
    made.append(None)
    result = reconstruct_file("style", "painting.png", (), preset, "row.png", StudioOptions(is_resumed=True))
    assert made[3:] == [("conv1_1", "conv2_1", "conv3_1")]
    assert result["iterations"] == 3
    height, width = read_picture_file("row.png").pixels.shape[:2]
    assert width > 3 * 26 and 32 < height < 64  # three pictures of 26 x 32, a line of labels
    assert not Path("row.png.cells").exists()


@pytest.mark.slow
def test_the_sheet_has_a_row_a_subset_and_a_column_a_ratio(preset, monkeypatch):
    assert len(figures.STYLE_LAYERS) == 5
    monkeypatch.setattr(figures, "STYLE_LAYERS", ("conv1_1", "conv2_1"))
    result = style_sheet_file("photo.png", "painting.png", preset, ratios=(1e-4, 1e-2))
    assert result["output"] == "photo-painting-sheet.png" and result["iterations"] == 4
    height, width = read_picture_file(result["output"]).pixels.shape[:2]
    assert height > 2 * 24 and width > 2 * 32
    assert not Path("photo-painting-sheet.png.cells").exists()


def test_mistakes_are_told(preset):
    with pytest.raises(RecipeError, match="content is reconstructed from one layer, got 2"):
        reconstruct_file("content", "photo.png", ["conv1_1", "conv2_1"], preset)
    with pytest.raises(DataError, match="gone.png cannot be read"):
        reconstruct_file("content", "gone.png", ["conv1_1"], preset)
    with pytest.raises(DataError, match="--out must end in .png"):
        reconstruct_file("content", "photo.png", ["conv1_1"], preset, "1.bmp")
