"""`tfvision predict`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfvision.command_line import Number, print_json, printable

if TYPE_CHECKING:
    from typing import Any

    from tfvision.serving.client import Client

PHOTOS_AT_ONCE = 8  # so that the server can join them to batches
_OWN_NAMES = ("image", "error")  # of an answer, whatever a model calls its outputs
_PICTURES = {b"\xff\xd8\xff": ".jpg", b"\x89PN": ".png"}  # how an encoded picture begins -> suffix


@click.command()
@click.option("--server", default="http://127.0.0.1:8501", show_default=True, help="http://HOST:PORT, or grpc://HOST:PORT.")
@click.argument("model")
@click.argument("photos", nargs=-1, required=True)
@click.option("--signature", default="serving_default", show_default=True, help="The signature to run.")
@click.option("--version", help="A version's number or label. [default: the newest]")
@click.option("--timeout-seconds", type=Number(0.001), default=60, show_default=True, help="Longest wait for a photo.")
@click.option("--out", default=".", show_default=True, help="Folder for the pictures that a model answers with.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
def predict(server: str, model: str, photos: tuple[str, ...], signature: str, version: str | None, timeout_seconds: float, out: str, as_json: bool) -> None:
    """Send PHOTOS (files) to a served MODEL and print its answers.

    The photos go as they are, as the input `image_bytes`. Pictures among the answers are saved as PHOTO-MODEL.jpg or .png.
    The exit code is 1 where a photo failed.

    \b
    tfvision predict species photo.jpg
    tfvision predict --server grpc://localhost:8500 species *.jpg --json > answers.jsonl
    tfvision predict stylizer photo.jpg --out painted/
    """
    from tfvision.serving import client as serving

    version = int(version) if version and version.isdecimal() else version
    with serving.Client(server) as client, ThreadPoolExecutor(PHOTOS_AT_ONCE) as pool:
        failed = 0
        for answer in pool.map(lambda photo: _answer(client, model, photo, signature, version, timeout_seconds), photos):
            answer = _with_pictures_saved(answer, model, Path(out))
            failed += "error" in answer
            print_json(answer) if as_json else _show(answer)
    if failed:
        sys.exit(1)


def _answer(client: Client, model: str, photo: str, signature: str, version: int | str | None, timeout_seconds: float) -> dict[str, Any]:
    """{"image", output: value...} or {"image", "error"}."""
    from tfvision.data.decoding import read_encoded
    from tfvision.errors import DataError
    from tfvision.serving.client import RequestError

    try:
        encoded = read_encoded(photo)
        outputs = client.predict(model, {"image_bytes": [encoded]}, signature, version, timeout_seconds)
    except DataError as error:
        return {"image": photo, "error": str(error)}
    except RequestError as error:
        return {"image": photo, "error": f"{photo}: {error}"}
    if any(array.shape[:1] == (0,) for array in outputs.values()):
        return {"image": photo, "error": f"{photo}: the model answered with no row for it"}
    rows = {name if name not in _OWN_NAMES else f"{name}_output": array[0] if array.ndim else array for name, array in outputs.items()}
    return {"image": photo, **{name: _plain(row) for name, row in rows.items()}}


def _with_pictures_saved(answer: dict[str, Any], model: str, folder: Path) -> dict[str, Any]:
    """The answer with its pictures replaced by their paths."""
    names = [name for name, value in answer.items() if isinstance(value, bytes)]
    for name in names:
        from tfvision.files import plain_file_name, write_bytes

        other = f"-{plain_file_name(name)}" if len(names) > 1 else ""
        path = folder / f"{Path(answer['image']).stem}-{plain_file_name(model)}{other}{_PICTURES[answer[name][:3]]}"
        write_bytes(path, answer[name])
        answer = {**answer, name: str(path)}
    return answer


def _plain(value: Any) -> Any:
    """An output's row -> what json prints."""
    import numpy as np

    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes) and value[:3] not in _PICTURES:
        return value.decode("utf-8", "replace")
    return value


def _show(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return click.echo(printable(f"error: {answer['error']}"), err=True)
    outputs = [f"{name} {_short(value)}" for name, value in answer.items() if name != "image"]
    click.echo(printable(" ".join(f"{answer['image']}: {', '.join(outputs)}".splitlines())))


def _short(value: Any) -> str:
    """Three values of a list, four digits of a decimal."""
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value[:3]))}{', ...' if len(value) > 3 else ''}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
