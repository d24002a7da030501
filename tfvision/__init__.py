"""tfvision: species, tattoos, style, an explorer and retrieval, on one TensorFlow and Keras base.

    import tfvision

    tfvision.species.train("my-photos/")

Each system is a module of this package; what it offers is imported when it is used.
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision import data as data
    from tfvision import index as gallery
    from tfvision.apps import explorer, retrieval, species, style, stylizer, tattoo_detection, tattoo_matching, vgg19_slim

__version__ = "0.2.0"
_NAMES = {
    "species": "apps.species",
    "tattoo_detection": "apps.tattoo_detection",
    "tattoo_matching": "apps.tattoo_matching",
    "style": "apps.style",
    "stylizer": "apps.stylizer",
    "vgg19_slim": "apps.vgg19_slim",
    "retrieval": "apps.retrieval",
    "explorer": "apps.explorer",
    "gallery": "index",
    "data": "data",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
