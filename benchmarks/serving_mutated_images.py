"""Sends mutated images to `tfvision serve`, over REST, and counts what becomes of them.

    python benchmarks/serving_mutated_images.py                              # 10,000, to a tiny model made here
    python benchmarks/serving_mutated_images.py savedmodels/species          # a model's folder of versions; the newest
    python benchmarks/serving_mutated_images.py --first 4711 --count 1       # the one that a report names

Each image follows from its number: a valid JPEG, PNG, GIF, BMP or WebP with one to three mutations. Eight clients send them;
in every 500 there is the export's sample image among them, whose answer must be that of assets.extra/sample_response.json.
"""

import argparse
import asyncio
import base64
import collections
import io
import json
import math
import random
import struct
import sys
import time
import zlib

from serving.clients import RestClient
from serving.model import add_model_options, own_copy
from serving.server import Server
from serving.tables import print_header, print_table

CLIENTS, BLOCK = 8, 500
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
TOLERANCE = 1e-4  # of the good photo's answer: batches of other sizes add up in another order
STATUSES = ("200", "400", "413", "429")


def main():
    options = _options()
    print_header()
    with own_copy(options.export, options.convolutions) as folder:
        results = asyncio.run(send_all(folder, options.first, options.count))
    _print(folder.parent.name, options, *results)


# The images


def mutated_image(number):
    """(format, encoded image, names of its mutations)."""
    draw = random.Random(number)
    kind = FORMATS[number % len(FORMATS)]
    encoded = _valid_image(kind, draw)
    mutations = [draw.choice(MUTATIONS) for _ in range(draw.choice((1, 1, 2, 3)))]
    for mutate in mutations:
        encoded = mutate(encoded, draw) if encoded else encoded
    return kind, encoded, [mutate.__name__ for mutate in mutations]


def _valid_image(kind, draw):
    import PIL.Image

    size = draw.randint(1, 120), draw.randint(1, 120)
    image = PIL.Image.frombytes("RGB", (8, 8), draw.randbytes(192)).resize(size, PIL.Image.Resampling.BICUBIC)
    modes = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "P", "RGBA", "1", "I;16"), "GIF": ("P", "L"), "BMP": ("RGB", "L", "P")}
    settings = {
        "JPEG": {"progressive": draw.random() < 0.3, "quality": draw.randint(20, 95)},
        "GIF": {"save_all": True, "append_images": [image.rotate(90)] * draw.randint(0, 2)},
        "WEBP": {"lossless": draw.random() < 0.5},
    }
    exif = PIL.Image.Exif()
    exif[0x0112] = draw.randint(1, 8)
    buffer = io.BytesIO()
    mode = draw.choice(modes.get(kind, ("RGB", "RGBA")))
    image = image.convert("L" if mode == "I;16" else mode).convert(mode)
    image.save(buffer, kind, **settings.get(kind, {}), **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
    return buffer.getvalue()


def truncate(encoded, draw):
    return encoded[: draw.randrange(len(encoded))]


def flip_bytes(encoded, draw):
    damaged = bytearray(encoded)
    for _ in range(draw.choice((1, 2, 8, 64))):
        damaged[draw.randrange(len(damaged))] ^= draw.randint(1, 255)
    return bytes(damaged)


def insert_chunk(encoded, draw):
    place, start = draw.randint(0, len(encoded)), draw.randrange(len(encoded))
    chunk = draw.choice((draw.randbytes(draw.randint(1, 500)), encoded[start : start + draw.randint(1, 500)]))
    return encoded[:place] + chunk + encoded[place:]


def remove_chunk(encoded, draw):
    start = draw.randrange(len(encoded))
    return encoded[:start] + encoded[start + draw.randint(1, 200) :]


def change_header(encoded, draw):
    damaged = bytearray(encoded)
    place = draw.randrange(min(64, len(damaged)))
    value = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80", draw.randbytes(4)))
    length = draw.randint(1, 4)
    damaged[place : place + length] = value[:length]
    return bytes(damaged)


def change_size(encoded, draw):
    """Another width and height where the format has them, up to what decoders and the server refuse; checksums fit."""
    width, height = (draw.choice((0, 1, 7, 300, 4096, 12000, 65535, 2**31 - 1, 2**32 - 1)) for _ in range(2))
    short = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    if encoded.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + encoded[24:29]
        return encoded[:12] + header + struct.pack(">I", zlib.crc32(header)) + encoded[33:]
    if encoded.startswith(b"BM"):
        return encoded[:18] + struct.pack("<II", width, height) + encoded[26:]
    if encoded.startswith(b"GIF"):
        return encoded[:6] + short + encoded[10:]
    if encoded.startswith(b"RIFF"):
        return encoded[:26] + short + encoded[30:]
    frame = max(encoded.find(b"\xff\xc0"), encoded.find(b"\xff\xc2"))
    if frame < 0:
        return encoded
    return encoded[: frame + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + encoded[frame + 9 :]


def swap_magic(encoded, draw):
    magic = draw.choice((b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b"II*\0", b"P6\n"))
    return magic + encoded[len(magic) :]


def append_garbage(encoded, draw):
    return encoded + draw.randbytes(draw.choice((1, 1000, 100_000)))


MUTATIONS = (truncate, flip_bytes, insert_chunk, remove_chunk, change_header, change_size, swap_magic, append_garbage)


# Sending them


async def send_all(folder, first, count):
    """({format: Counter of statuses}, lines on what went wrong, [(images sent, memory in MB)], latencies by number, good photos)."""
    answers, problems, latencies = {kind: collections.Counter() for kind in FORMATS}, [], {}
    good = _GoodPhoto(folder)
    with Server(folder.parent.parent) as server:
        server.wait_until_ready()
        clients = [RestClient(server, folder.parent.name) for _ in range(CLIENTS + 1)]
        for _ in range(100):
            await good.check(clients[0], problems, "before the first")
        memory = [(0, server.memory_mb())]
        for start in range(first, first + count, BLOCK):
            numbers = iter(range(start, min(start + BLOCK, first + count)))
            senders = [_send(client, numbers, good, answers, problems, latencies) for client in clients[1:]]
            await asyncio.gather(*senders, good.check(clients[0], problems, f"beside {start} and the next"))
            if not server.is_alive():
                problems.append(f"the server ended: {server.log()}")
                break
            memory.append((len(latencies), server.memory_mb()))
            print(f"{len(latencies):,} of {count:,}: {memory[-1][1]:.0f} MB", file=sys.stderr)
        else:
            await good.check(clients[0], problems, "after the last")
            memory.append(("at its peak", server.memory_mb("VmHWM")))
    return answers, problems, memory, latencies, good.checks


async def _send(client, numbers, good, answers, problems, latencies):
    for number in numbers:
        kind, encoded, mutations = mutated_image(number)
        started = time.perf_counter()
        status = await client.ask(good.request_for(encoded))
        latencies[number] = time.perf_counter() - started
        answers[kind][status] += 1
        if status not in STATUSES:
            message = client.content[:200].decode(errors="replace") if status.isdecimal() else ""
            problems.append(f"{status}: --first {number} --count 1 ({kind}: {', '.join(mutations)}) {message}")


class _GoodPhoto:
    """The export's sample image; `checks` counts how often it was sent."""

    def __init__(self, folder):
        self._row, self._answer = (
            json.loads((folder / "assets.extra" / name).read_text())[key][0]
            for name, key in (("sample_request.json", "instances"), ("sample_response.json", "predictions"))
        )
        self.checks = 0

    def request_for(self, encoded):
        """The sample request with another image."""
        return json.dumps({"instances": [{**self._row, "image_bytes": {"b64": base64.b64encode(encoded).decode()}}]}).encode()

    async def check(self, client, problems, when):
        status = await client.ask(json.dumps({"instances": [self._row]}).encode())
        self.checks += 1
        # An answer whose one output comes bare is not a dict.
        if status != "200" or not _is_same(_named(json.loads(client.content)["predictions"][0], self._answer), self._answer):
            problems.append(f"the good photo, {when}: {status} {client.content[:200].decode(errors='replace')}")


def _named(answer, expected):
    return answer if isinstance(answer, dict) else dict.fromkeys(expected, answer)


def _is_same(one, other):
    if isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in other)
    if isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return math.isclose(one, other, abs_tol=TOLERANCE) if isinstance(other, float) else one == other


# The report


def _print(model, options, answers, problems, memory, latencies, checks):
    last = options.first + options.count - 1
    print(f"Model `{model}`: images {options.first:,} to {last:,}, {CLIENTS} in flight, in {sum(latencies.values()) / CLIENTS:.0f} s.\n")
    statuses = sorted(set(STATUSES).union(*answers.values()))
    print_table(("", "sent", *statuses), *((kind, sum(found.values()), *(found[s] for s in statuses)) for kind, found in answers.items()))
    slowest = max(latencies, key=latencies.get)
    shown = {len(memory) - 1} | {place for place, (sent, _) in enumerate(memory) if sent in (0, 2000, len(latencies))}
    print_table(
        ("", ""),
        ("good photos sent between", checks),
        ("wrong answers to them, 5xx, broken connections", len(problems)),
        ("slowest answer", f"{latencies[slowest]:.2f} s, image {slowest}"),
        *(
            (f"memory, {sent:,} sent" if isinstance(sent, int) else f"memory {sent}", f"{memory[place][1]:.0f} MB")
            for place, (sent, _) in enumerate(memory)
            if place in shown
        ),
    )
    print("\n".join(f"- {problem}" for problem in problems))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first image")
    return parser.parse_args()


if __name__ == "__main__":
    main()
