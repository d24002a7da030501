import functools

import pytest

SMALLER = {name: {"connected": 64} for name in ("alexnet", "alexnet_torchvision")}  # else 240 MB of weights


@pytest.fixture(scope="session")
def base_of(short_inception):
    """A function: name -> that network without its top, built once a session, at its least size; InceptionResNetV2 with few of its blocks.

    Tests may load other weights into it and rely on none; its layers and the size of its input stay as they are.
    """
    from tfvision.models.catalogue import get_network

    @functools.cache
    def build(name):
        network = get_network(name)
        with short_inception():
            return network.build(network.least_image_size, **SMALLER.get(name, {}))

    return build
