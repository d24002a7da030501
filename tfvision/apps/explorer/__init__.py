"""The explorer: a web page that shows what deep features see in a collection of pictures.

tfvision.explorer.show("my-photos/")
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.explorer.notebook import show as show

_NAMES = {"show": "notebook:show"}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
