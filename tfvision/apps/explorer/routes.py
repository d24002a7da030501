"""The server's addresses: each parses its request, asks one function, and responds in JSON or bytes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import importlib.resources
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfvision.apps.explorer import answers, relabelling, selection
from tfvision.apps.explorer.collection import Layer
from tfvision.apps.explorer.columns import described
from tfvision.apps.explorer.facts import file_facts
from tfvision.apps.explorer.judges import by_judge
from tfvision.apps.explorer.label_retrieval import label_retrieval
from tfvision.apps.explorer.pooling import DRAWN, pool
from tfvision.apps.explorer.queries import Queries, is_whole
from tfvision.apps.explorer.report import verdict_report
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.tables import check_umap, kept_rows
from tfvision.data.decoding import check_photo, read_encoded, thumbnail_jpeg
from tfvision.data.shards.slices import photo_bytes
from tfvision.errors import DataError, UserError
from tfvision.features.text_encoder import checked_text
from tfvision.serving.page_answers import PAGE, answering, in_bytes, json_of, missing, page_file

if TYPE_CHECKING:  # it takes a while
    from starlette.requests import Request
    from starlette.routing import Route

STATIC = Path(__file__).parent / "static"
_SHOWN_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_LARGEST_SHOWN_BYTES = 6 * 2**20
_LARGE_PX = 1600
_SIZES_PX = (320, 640, 1280, 2560, 5120)  # that pictures are scaled down to, for tiles that are larger than thumbnails
_MOST_THUMBNAILS = 256
_SECONDS_FOR_THUMBNAILS = 0.4
_SECONDS_FOR_JOBS = 0.15
_PENDING = 0xFFFFFFFF  # the length of a thumbnail that is not made yet


def routes(session: Session) -> list[Route]:
    """The routes of a Session."""
    from starlette.routing import Route

    get = {
        "/": Routes.index,
        "/static/{name}": Routes.static,
        "/image/{position}": Routes.image,
        "/outside/{name}": Routes.outside,
        "/report": Routes.report,
        "/api/status": Routes.status,
        "/api/facts/{position}": Routes.facts,
        "/api/attention/{position}": Routes.attention,
        "/api/names": Routes.names,
        "/api/columns": Routes.columns,
        "/api/codes/{number}": Routes.codes,
        "/api/numbers/{number}": Routes.numbers,
        "/api/thumbnails": Routes.thumbnails,
        "/api/titles": Routes.titles,
        "/api/neighbours": Routes.neighbours,
        "/api/similarities": Routes.similarities,
        "/api/distribution": Routes.distribution,
        "/api/range": Routes.within,
        "/api/compare": Routes.compare,
        "/api/map": Routes.map,
        "/api/tidy/{kind}": Routes.tidy,
        "/api/label-retrieval": Routes.label_retrieval,
        "/api/notes": Routes.notes,
        "/api/corrections": Routes.corrections,
        "/api/pool": Routes.pool,
        "/api/verdict": Routes.verdict,
    }
    post = {  # of what filters, these are asked with a bit for each picture that is kept
        "/api/neighbours": Routes.neighbours,
        "/api/range": Routes.within,
        "/api/compare": Routes.compare,
        "/api/tidy/{kind}": Routes.tidy,
        "/api/queries": Routes.receive,
        "/api/texts": Routes.ask_in_words,
        "/api/tag": Routes.tag,
        "/api/mark": Routes.mark,
        "/api/conclude": Routes.conclude,
        "/api/drop": Routes.drop,
        "/api/relabel": Routes.relabel,
        "/api/restore-labels": Routes.restore_labels,
        "/api/corrected-manifest": Routes.corrected_manifest,
        "/api/export": Routes.export,
        "/api/update": Routes.update,
    }
    kinds = [(path, function, "GET") for path, function in get.items()] + [(path, function, "POST") for path, function in post.items()]
    return [Route(path, _answering(function, method, session), methods=[method]) for path, function, method in kinds]


class Routes:
    """What answers one request, from what is shown as it comes: an update meanwhile would number pictures otherwise.

    One function an address; each takes the request (and its body) and returns a Starlette response or what becomes JSON.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._shown = session, session.shown
        self._collection, self._queries = self._shown.collection, self._shown.queries

    def is_of(self, fingerprint: str | None) -> bool:
        """Whether a page that numbers pictures in an order, None for any, may be answered."""
        return fingerprint in (None, self._collection.pictures.fingerprint)

    def index(self, request: Request) -> Any:
        return page_file("index.html", [STATIC])

    def static(self, request: Request) -> Any:
        name = request.path_params["name"]
        if name == "plotly.min.js":
            return in_bytes(plotly_script(), "text/javascript", "public, max-age=86400")
        return page_file(name, [STATIC, PAGE])

    def image(self, request: Request) -> Any:
        path, size_px = self._path(request), _whole(request, "px", 0)
        if size_px not in (0, *_SIZES_PX):
            raise DataError(f"px must be one of {', '.join(map(str, _SIZES_PX))}, got {size_px}")
        return missing("there is no such picture") if path is None else _scaled(path, size_px) if size_px else _shown(path)

    def facts(self, request: Request) -> Any:
        path = self._path(request)
        return missing("there is no such picture") if path is None else file_facts(path)

    def attention(self, request: Request) -> Any:
        path, (queries, layer, name) = self._path(request), self._asked(request)
        if path is None:
            return missing("there is no such picture")
        if self._session.indexing:
            raise DataError("the pictures are being indexed: where the network looks can be shown once that is done")
        future = self._session.attention.ask(queries, layer, int(request.path_params["position"]), path, name or None)
        return _of_future(future)

    def outside(self, request: Request) -> Any:
        return _shown(self._queries.outside_path("u:" + request.path_params["name"]))

    def status(self, request: Request) -> Any:
        return self._session.status()

    def names(self, request: Request) -> Any:
        return self._collection.pictures.ids

    def columns(self, request: Request) -> Any:
        pictures = self._collection.pictures
        return described(*pictures.with_scales(), pictures.answers)

    def codes(self, request: Request) -> Any:
        columns, number = list(self._collection.pictures.columns.values()), request.path_params["number"]
        is_there = is_whole(number) and int(number) < len(columns)
        return in_bytes(np.ascontiguousarray(columns[int(number)][1], "<i4").tobytes()) if is_there else missing("there is no such column")

    def numbers(self, request: Request) -> Any:
        scales, number = self._collection.pictures.with_scales()[1], request.path_params["number"]
        scale = scales[int(number)] if is_whole(number) and int(number) < len(scales) else None
        return in_bytes(scale.numbers.astype("<f8").tobytes()) if scale else missing("there is no such column of numbers or dates")

    def thumbnails(self, request: Request) -> Any:
        positions = _positions(list(filter(None, request.query_params.get("rows", "").split(","))), self._collection.pictures)[:_MOST_THUMBNAILS]
        found = self._shown.thumbnails.get_many(positions, _SECONDS_FOR_THUMBNAILS)
        lengths = np.array([len(found), *(_PENDING if one is None else len(one) for one in found)], "<u4")
        return in_bytes(lengths.tobytes() + b"".join(one for one in found if one))

    def titles(self, request: Request) -> Any:
        names = request.query_params.getlist("q")
        return [self._titled(name) for name in names]

    def neighbours(self, request: Request, body: bytes = b"") -> Any:
        return answers.neighbours(*self._asked(request), _whole(request, "k", 60), self._kept(body))

    def similarities(self, request: Request) -> Any:
        queries, layer, name = self._asked(request)
        return in_bytes(queries.open(name, layer).scores.astype("<f4").tobytes())

    def distribution(self, request: Request) -> Any:
        return answers.distribution(*self._asked(request))

    def within(self, request: Request, body: bytes = b"") -> Any:
        low, high, is_lowest_first = _number(request, "low"), _number(request, "high"), request.query_params.get("order") == "lowest"
        return answers.within(*self._asked(request), low, high, _whole(request, "limit", 300), is_lowest_first, self._kept(body))

    def compare(self, request: Request, body: bytes = b"") -> Any:
        return answers.comparison(self._queries, self._layer(request), request.query_params.getlist("q"), self._kept(body))

    def map(self, request: Request) -> Any:
        layer, method = self._layer(request), request.query_params.get("method", "pca")
        if method == "umap":
            check_umap()
        job = self._session.jobs.start(("map", method, layer.name, layer.fingerprint), lambda tell: self._session.tables.map(layer, method, tell))
        return _of_job(job, lambda plane: in_bytes(plane.astype("<f4").tobytes()))

    def tidy(self, request: Request, body: bytes = b"") -> Any:
        kind, limit, kept, collection = request.path_params["kind"], _whole(request, "limit", 300), self._kept(body), self._collection
        layer, pictures = collection.layer(_whole(request, "layer", 0)), collection.pictures
        tables, jobs = self._session.tables, self._session.jobs
        least = round(min(1.0, max(-1.0, _number(request, "least", 0.95))), 3) if kind == "duplicates" else 0.0

        def duplicates(table):
            job = jobs.start((kind, layer.name, layer.fingerprint, least), lambda tell: answers.near_duplicates(layer, table, pictures, least, tell))
            return _of_job(job, lambda found: found)

        ways = {
            "duplicates": duplicates,
            "outliers": lambda table: answers.outliers(table if kept is None else kept_rows(table, kept), limit),
            "hubs": lambda table: answers.hubs(table, limit),
            "labels": lambda table: answers.suspect_labels(table, pictures, request.query_params.get("column", ""), limit),
        }
        if kind not in ways:
            return missing("there is no such list")
        job = jobs.start(("neighbours", layer.name, layer.fingerprint), lambda tell: tables.neighbours(layer, tell))
        return _of_job(job, ways[kind])  # all but outliers are judged among all

    def label_retrieval(self, request: Request) -> Any:
        collection, column, most = self._collection, request.query_params.get("column", ""), _whole(request, "most", 200)
        chosen = collection.layer(_whole(request, "layer", 0))  # from which the others differ
        collection = dataclasses.replace(collection, layers=(chosen, *(layer for layer in collection.layers if layer is not chosen)))
        name = ("label retrieval", column, most, collection.version, collection.pictures.changes, *(layer.fingerprint for layer in collection.layers))
        return _of_job(self._session.jobs.start(name, lambda tell: label_retrieval(collection, column, most, tell)), lambda found: found)

    def notes(self, request: Request) -> Any:
        notes, positions = self._session.notes.read(), self._collection.pictures.positions
        tags = {tag: [positions[id] for id in ids if id in positions] for tag, ids in notes["tags"].items()}
        marks = {question: self._marks_by_position(entry["marks"]) for question, entry in notes["questions"].items()}
        judges = {
            question: {name: self._marks_by_position(marked) for name, marked in by_judge(entry).items() if name}
            for question, entry in notes["questions"].items()
        }
        conclusions = {question: entry["conclusion"] for question, entry in notes["questions"].items()}
        return {"version": notes["version"], "tags": tags, "marks": marks, "judges": judges, "conclusions": conclusions}

    def pool(self, request: Request) -> Any:
        asked, k = request.query_params, min(_whole(request, "k", 10), answers.SHORTLIST)
        return {"places": pool(self._collection, self._queries, asked.get("x", ""), asked.get("q", ""), k), "drawn": DRAWN}

    def verdict(self, request: Request) -> Any:
        return self._verdict(request, self._session.notes.read())

    def report(self, request: Request) -> Any:
        notes = self._session.notes.read()
        page = verdict_report(self._shown, notes, self._verdict(request, notes))
        return in_bytes(page.encode(), "text/html", headers={"Content-Disposition": 'attachment; filename="verdict.html"'})

    def receive(self, request: Request, body: bytes) -> Any:
        name = self._queries.receive(body, request.query_params.get("name", ""))
        return {"name": name, "title": self._queries.titles(name)[0]}

    def ask_in_words(self, request: Request, body: bytes) -> Any:
        """{"name", "title"} of a text as a query, once it has a vector in the layer."""
        asked = json_of(body, {"text": str, "layer": int})
        name = f"t:{checked_text(asked['text'])}"
        self._queries.open(name, self._collection.layer(asked["layer"]))
        return {"name": name, "title": self._queries.titles(name)[0]}

    def tag(self, request: Request, body: bytes) -> Any:
        asked = json_of(body, {"tag": str, "places": tuple[int, ...] | None, "is_tagged": bool | None})
        self._session.notes.tag(asked["tag"], self._ids(asked.get("places") or []), asked.get("is_tagged", True) is True)
        return self.notes(request)

    def mark(self, request: Request, body: bytes) -> Any:
        asked = json_of(body, {"question": str, "query": str, "marks": dict[str, bool | None], "judge": str | None})
        marks, pictures = asked["marks"], self._collection.pictures
        ids = [pictures.ids[position] for position in _positions(marks, pictures)]
        key = self._queries.titles(asked["query"])[1]
        self._session.notes.mark(asked["question"], key, dict(zip(ids, marks.values(), strict=True)), asked.get("judge") or "")
        return self.notes(request)

    def conclude(self, request: Request, body: bytes) -> Any:
        asked = json_of(body, {"question": str, "conclusion": str | None})
        self._session.notes.conclude(asked["question"], asked.get("conclusion") or "")
        return self.notes(request)

    def drop(self, request: Request, body: bytes) -> Any:
        asked, notes = json_of(body, {"question": str, "is_undone": bool | None}), self._session.notes
        (notes.restore_question if asked.get("is_undone") else notes.drop_question)(asked["question"])
        return self.notes(request)

    def corrections(self, request: Request) -> Any:
        return relabelling.told(self._session, self._collection.pictures)

    def relabel(self, request: Request, body: bytes) -> Any:
        asked = json_of(body, {"column": str, "places": tuple[int, ...], "label": str | None, "who": str})
        self._ids(asked["places"])  # which must be there
        return relabelling.relabel(self._session, self._collection.pictures, asked["column"], asked["places"], asked.get("label"), asked["who"])

    def restore_labels(self, request: Request, body: bytes) -> Any:
        return relabelling.restore(self._session, self._collection.pictures, json_of(body, {"before": dict[str, dict[str, dict[str, str] | None]]})["before"])

    def corrected_manifest(self, request: Request, body: bytes) -> Any:
        return relabelling.write_manifest(self._session, self._collection.pictures)

    def export(self, request: Request, body: bytes) -> Any:
        asked, pictures = json_of(body, {"kind": str, "places": tuple[int, ...], "name": str | None}), self._collection.pictures
        positions = [pictures.positions[id] for id in self._ids(asked["places"])]
        if not positions:
            raise DataError("the selection is empty: choose pictures first")
        kind = asked["kind"]
        if kind == "links":
            folder = selection.link_folder(pictures, positions, self._session.plan.state / "selections", asked.get("name") or "")
            return {"folder": folder, "pictures": len(positions)}
        if kind not in ("csv", "manifest"):
            raise DataError(f"a selection is exported as csv, manifest or links, got {kind!r:.40}")
        text = selection.as_csv(pictures, positions, self._tags_by_id()) if kind == "csv" else selection.as_manifest(pictures, positions)
        return in_bytes(text.encode("utf-8", "surrogateescape"), "text/csv")

    def update(self, request: Request, body: bytes) -> Any:
        return {"is_started": self._session.update(json_of(body, {"gone": int | None}).get("gone"))}

    def _verdict(self, request, notes):
        asked = request.query_params
        return answers.verdict(self._collection, self._queries, notes, asked.get("x", ""), asked.get("judge"))

    def _titled(self, name):
        """{"title", "key", "place"} of a query; "place" is None for what is no picture of the collection, all are where it is lost."""
        try:
            title, key = self._queries.titles(name)
        except DataError:
            return {"title": None, "key": None, "place": None}
        return {"title": title, "key": key, "place": self._collection.pictures.positions.get(key.removeprefix("id:")) if key.startswith("id:") else None}

    def _kept(self, body):
        """bool [pictures] of a body that has a bit for each, the lowest of a byte first; None of an empty one."""
        count = len(self._collection.pictures)
        if body and len(body) != (count + 7) // 8:
            raise DataError(f"what is kept must be a bit for each of {count} pictures, got {len(body)} bytes")
        return np.unpackbits(np.frombuffer(body, np.uint8), count=count, bitorder="little").astype(bool) if body else None

    def _asked(self, request) -> tuple[Queries, Layer, str]:
        return self._queries, self._layer(request), request.query_params.get("q", "")

    def _path(self, request):
        """Where the picture of a request is; None where there is none."""
        position, pictures = request.path_params["position"], self._collection.pictures
        return pictures.path(int(position)) if is_whole(position) and int(position) < len(pictures) else None

    def _layer(self, request):
        return self._collection.layer(_whole(request, "layer", 0))

    def _ids(self, positions):
        ids = self._collection.pictures.ids
        if not all(0 <= position < len(ids) for position in positions):
            raise DataError("places must be numbers of pictures")
        return [ids[position] for position in positions]

    def _marks_by_position(self, marks):
        positions, found = self._collection.pictures.positions, {}
        for key, judged in marks.items():
            name = self._queries.name_of(key)
            if name is not None:
                found[name] = {positions[id]: is_right for id, is_right in judged.items() if id in positions}
        return found

    def _tags_by_id(self):
        found = {}
        for tag, ids in self._session.notes.read()["tags"].items():
            for id in ids:
                found.setdefault(id, []).append(tag)
        return found


def plotly_script() -> bytes:
    """Plotly's script, from its Python package."""
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


def _answering(function, method, session):
    """An endpoint; a page says by which order of pictures it numbers them: after an update its numbers would mean others."""

    def answered(request, *body):
        from starlette.responses import JSONResponse

        page = Routes(session)
        if not page.is_of(request.headers.get("x-pictures")):
            return JSONResponse({"error": "the collection was updated meanwhile: load the page again", "is_outdated": True}, 400)
        return function(page, request, *body)

    return answering(answered, has_body=method == "POST")


def _of_job(job, respond):
    """The response from a job's result, or 202 with how far it is."""
    from starlette.responses import JSONResponse

    job.wait(_SECONDS_FOR_JOBS)
    if job.error:
        raise UserError(job.error)
    if not job.is_done:
        return JSONResponse({"share": round(job.share, 3), "stage": job.stage}, 202)
    return respond(job.result)


def _of_future(future):
    """The picture that a thread makes, or 202 while it is not there."""
    from starlette.responses import JSONResponse

    try:
        return in_bytes(future.result(_SECONDS_FOR_JOBS), "image/png", "private, max-age=60")
    except (TimeoutError, concurrent.futures.CancelledError):
        return JSONResponse({"share": None, "stage": "the network is looking"}, 202)


def _scaled(path, size_px):
    """A picture's file as a JPEG of so many pixels at most."""
    jpeg = thumbnail_jpeg(path, size_px)
    return in_bytes(jpeg, "image/jpeg", "private, max-age=600") if jpeg else missing("this picture cannot be read")


def _shown(path):
    """A picture's file as it is where browsers show it and it is small; else smaller, as a JPEG."""
    with contextlib.suppress(OSError, DataError):
        data = read_encoded(path) if photo_bytes(path) <= _LARGEST_SHOWN_BYTES else b""
        kind = _kind(data)
        if kind in _SHOWN_AS_THEY_ARE:
            check_photo(data)
            return in_bytes(data, _SHOWN_AS_THEY_ARE[kind], "private, max-age=60")
    return _scaled(path, _LARGE_PX)


def _kind(data):
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=tuple(_SHOWN_AS_THEY_ARE)) as image:
            is_plain = image.mode in ("RGB", "L", "P", "RGBA", "LA", "1")
            return image.format if is_plain else None
    except Exception:  # whatever Pillow's plug-ins raise of a broken file
        return None


def _positions(texts, pictures):
    if not all(is_whole(text) and int(text) < len(pictures) for text in texts):
        raise DataError("rows must be numbers of pictures")
    return list(map(int, texts))


def _whole(request, name, default):
    text = request.query_params.get(name, str(default))
    if not is_whole(text):
        raise DataError(f"{name} must be a whole number, got {text!r:.40}")
    return int(text)


def _number(request, name, default=None):
    text = request.query_params.get(name, default)
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{name} must be a number, got {text!r:.40}")
    return value
