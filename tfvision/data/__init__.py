"""Photos and their labels, from a folder, a CSV or a download to batches of pixels.

    tfvision.data.write_specimens("specimens")
    tfvision.data.read_pixels("photo.jpg").shape
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.data.decoding import read_pixels as read_pixels
    from tfvision.data.specimens import draw_specimen as draw_specimen
    from tfvision.data.specimens import write_specimens as write_specimens

_NAMES = {
    "read_pixels": "decoding:read_pixels",
    "draw_specimen": "specimens:draw_specimen",
    "write_specimens": "specimens:write_specimens",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
