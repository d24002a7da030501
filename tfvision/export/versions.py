"""Which folders of a model are its versions."""

from pathlib import Path


def version_folders(model: str | Path) -> dict[int, Path]:
    """{number: path} of the folders 1, 2, ... of a model's folder, ascending; empty where it is no folder, or may not be read.

    As in TensorFlow Serving, all other names are passed over, such as those of exports that are being written, and so are numbers
    beyond 64 bits.
    """
    try:
        folders = [path for path in Path(model).iterdir() if path.name.isascii() and path.name.isdecimal() and path.is_dir()]
    except OSError:
        return {}
    return dict(sorted((int(path.name), path) for path in folders if int(path.name) < 2**63))
