"""The way to Milvus: a location as an address, the connection, its errors as ours, and collections of one form."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tfvision.errors import GalleryError, UserError

TOKEN_VARIABLE = "TFVISION_MILVUS_TOKEN"
LARGEST_ANSWER = 16_384  # rows or hits that Milvus gives at once
_FORM = re.compile(r"milvus://(.+)/([A-Za-z_][A-Za-z0-9_]{0,199})")
_LITE_SUFFIX = ".db"
_TIMEOUT_SECONDS = 60


def parse_location(location: str) -> tuple[str, str]:
    """(address, collection) of a location. Raises GalleryError."""
    match = _FORM.fullmatch(location)
    if not match:
        raise GalleryError(
            f"a gallery in Milvus must be like milvus://HOST:PORT/COLLECTION or milvus://PATH{_LITE_SUFFIX}/COLLECTION, "
            f"COLLECTION of letters, digits and _, got {location!r}"
        )
    return match[1], match[2]


def lite_file(location: str) -> str | None:
    """The path of a milvus-lite database, or None for a server."""
    address = parse_location(location)[0]
    return address if address.endswith(_LITE_SUFFIX) else None


def connect(location: str, is_new: bool = False) -> Any:
    """A MilvusClient. Raises GalleryError, UserError."""
    pymilvus = _import_pymilvus()
    for name in ("pymilvus", "milvus_lite"):  # their errors are told by ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    file = lite_file(location)
    if file and not is_new and not os.path.exists(file):
        raise GalleryError(f"{file} does not exist: make the gallery with `tfvision index build IMAGES --out {location}`")
    if file:
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
    uri = file or f"http://{parse_location(location)[0]}"
    return ask(location, pymilvus.MilvusClient, uri, token="" if file else os.environ.get(TOKEN_VARIABLE, ""))


def ask(location: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a call of Milvus's client returns. Raises GalleryError."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        return call(*arguments, timeout=_TIMEOUT_SECONDS, **options)
    except (MilvusException, RpcError) as error:
        remedy = "is another process using this file?" if lite_file(location) else f"is the server running, and {TOKEN_VARIABLE} the right token?"
        raise GalleryError(f"{location}: Milvus answers {getattr(error, 'message', error)}; {remedy}") from error


def create_collection(location: str, client: Any, name: str, dimension: int, text: str) -> None:
    """A collection of rows with a vector, a `text` (the field's name) and metadata, strongly consistent."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    schema.add_field(text, DataType.VARCHAR, max_length=65_535)
    schema.add_field("metadata", DataType.JSON)
    ask(location, client.create_collection, name, schema=schema, index_params=index_of_kind("FLAT"), consistency_level="Strong")


def index_of_kind(kind: str) -> Any:
    """A client's index parameters for "FLAT" or "HNSW" by the inner product."""
    from pymilvus import MilvusClient

    parameters = MilvusClient.prepare_index_params()
    options = {"params": {"M": 32, "efConstruction": 200}} if kind == "HNSW" else {}
    parameters.add_index("vector", index_type=kind, metric_type="IP", **options)
    return parameters


def write_texts(location: str, client: Any, name: str, texts: dict[int, str]) -> None:
    """Writes {row: text} into a collection of texts, in one step."""
    rows = [{"row": row, "vector": [0.0, 0.0], "text": text, "metadata": {}} for row, text in texts.items()]
    ask(location, client.upsert, name, rows)


def read_texts(location: str, client: Any, name: str, rows: Iterable[int]) -> list[str]:
    """The texts of rows, a list. Raises KeyError where one is not there."""
    found = ask(location, client.query, name, filter=f"row in {list(rows)}", output_fields=["row", "text"], limit=LARGEST_ANSWER)
    texts = {one["row"]: one["text"] for one in found}
    return [texts[row] for row in rows]


def _import_pymilvus() -> Any:
    if sys.version_info < (3, 12):
        raise UserError("galleries in Milvus need Python 3.12 or later: its client and TensorFlow 2.15 need different versions of protobuf")
    try:
        import pymilvus
    except ImportError:
        raise UserError("Milvus's client is not installed: pip install 'tfvision[milvus]'") from None
    return pymilvus
