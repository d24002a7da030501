import colorsys
import csv

import numpy as np
import pytest
from PIL import Image

TINY = {  # settings that train a retriever on hue_photos in seconds
    "network": "small",
    "weights": "none",
    "image_size": "32",
    "batch_size": "8",
    "stages": "[[4, 0.02]]",
    "tuning_stages": "[[4, 0.01]]",
    "warmup_steps": "0",
    "backbone_rate": "1.0",
    "is_augmented": "false",
}


@pytest.fixture(scope="session")
def tiny_retriever():
    return dict(TINY)


@pytest.fixture(scope="session")
def hue_photos(tmp_path_factory):
    """A folder with manifest.csv: 8 labels told apart by hue, 4 photos each of 48 x 40 px."""
    folder, random = tmp_path_factory.mktemp("hues"), np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        for number in range(8):
            colour = 220 * np.array(colorsys.hsv_to_rgb(number / 8, 0.8, 0.9))
            for view in range(4):
                name = f"hue{number}_{view}.png"
                Image.fromarray(random.normal(colour, 30, (40, 48, 3)).clip(0, 255).astype(np.uint8)).save(folder / name)
                writer.writerow([name, f"hue {number}"])
    return folder


@pytest.fixture(scope="session")
def retriever_run(hue_photos, tmp_path_factory):
    """A finished run on hue_photos, two hues held out."""
    from tfvision.apps.retrieval.training import train_retriever

    folder = tmp_path_factory.mktemp("runs") / "hues"
    train_retriever(str(hue_photos), "small", TINY, str(folder))
    return folder
