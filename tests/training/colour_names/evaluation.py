import numpy as np

from colour_names.run import load_network
from colour_names.training import COLOURS
from tfvision.data.decoding import read_pixels
from tfvision.data.manifest import find_photos


def evaluate_colours(run, source, colour):
    paths, network = find_photos([source]).paths, load_network(run)[0]
    answers = network(np.stack([read_pixels(path)[:8, :8] for path in paths])).numpy().argmax(1)
    return {"images": len(paths), colour: int((answers == COLOURS.index(colour)).sum())}
