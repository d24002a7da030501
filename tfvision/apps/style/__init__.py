"""Style: a photo in the manner of a painting.

    tfvision.style.stylize(photo, [painting], tfvision.style.preset("default")).picture
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.style.fast import stylize_fast as stylize_fast
    from tfvision.apps.style.presets import get_preset as preset
    from tfvision.apps.style.stylization import stylize as stylize

_NAMES = {
    "stylize": "stylization:stylize",
    "stylize_fast": "fast:stylize_fast",
    "preset": "presets:get_preset",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
