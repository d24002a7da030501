"""Galleries: vectors of pictures on disk or in Milvus, and their search.

    tfvision.gallery.build("pictures/", "gallery", tfvision.gallery.FeatureRecipe(model="mobilenet_v2"))
    tfvision.gallery.search(tfvision.gallery.open("gallery"), ["photo.jpg"], k=10)
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.features.recipe import FeatureRecipe as FeatureRecipe
    from tfvision.index.locations import open_gallery as open
    from tfvision.index.making import add_photos as add
    from tfvision.index.making import build_gallery as build
    from tfvision.index.making import remove_pictures as remove
    from tfvision.index.querying import search_photos as search

_NAMES = {
    "build": "making:build_gallery",
    "add": "making:add_photos",
    "remove": "making:remove_pictures",
    "open": "locations:open_gallery",
    "search": "querying:search_photos",
    "FeatureRecipe": "making:FeatureRecipe",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
