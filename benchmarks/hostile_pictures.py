"""Small files that hold huge or slow pictures, made from nothing: for the benchmarks of servers, and for tests.

    python benchmarks/hostile_pictures.py FOLDER             # writes all of PICTURES, some seconds each
    python benchmarks/hostile_pictures.py FOLDER "huge PNG"  # one of them

Each is a valid file of one colour.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types: grey, RGB, palette, grey and alpha, RGBA
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # left, top, steps right and down


def png(width: int, height: int, colour_type: int = 2, bits: int = 8, interlaced: bool = False, transparent: bool = False, frames: int = 1) -> bytes:
    """A black PNG.

    Args:
      colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
      transparent: whether a grey, RGB or palette picture has a transparent colour.
      frames: more than one makes it an animation (APNG) of such frames.
    """
    pixels = _zeros_deflated(_scanline_bytes(width, height, _CHANNELS[colour_type] * bits, interlaced))
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced))]
    if colour_type == 3:
        parts.append(_chunk(b"PLTE", bytes(range(48))))
    if transparent:
        parts.append(_chunk(b"tRNS", {0: b"\0\1", 2: b"\0\1\0\1\0\1", 3: b"\xff\0"}[colour_type]))
    if frames == 1:
        return b"".join([*parts, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])
    parts.append(_chunk(b"acTL", struct.pack(">II", frames, 0)))
    for number in range(frames):
        control = struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), width, height, 0, 0, 1, 10, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        parts.append(_chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels) if number else _chunk(b"IDAT", pixels))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def gif(width: int, height: int, frames: int = 1, screen: tuple[int, int] | None = None) -> bytes:
    """A GIF of equal frames; `screen`: another (width, height) in its header than the frames have."""
    header = b"GIF89a" + struct.pack("<HHBBB", *(screen or (width, height)), 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\4\0\1\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2" + _sub_blocks(_lzw_of_zeros(width * height))
    return header + frame * frames + b"\x3b"


def bmp(width: int, height: int, is_top_down: bool = False) -> bytes:
    """A BMP of 24 bits, as large as its pixels."""
    row_bytes = (3 * width + 3) // 4 * 4
    header = struct.pack("<IiiHHIIiiII", 40, width, -height if is_top_down else height, 1, 24, 0, row_bytes * height, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + row_bytes * height, 0, 0, 54) + header + bytes(row_bytes * height)


def rle_bmp(width: int, height: int) -> bytes:
    """A BMP of run-length encoded rows (RLE8)."""
    full, rest = divmod(width, 255)
    row = b"\xff\1" * full + (bytes([rest, 1]) if rest else b"") + b"\0\0"
    pixels = row * height + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + header + bytes(1024) + pixels


def jpeg_of_scans(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG: a scan of the means, then one for each bit of each frequency, 631 at most, all of them valid."""
    blocks = -(-width // 8) * -(-height // 8)
    bands = [(frequency, 0 if low == 9 else low + 1, low) for low in range(9, -1, -1) for frequency in range(1, 64)]
    runs = _entropy_coded(_end_of_band_runs(blocks))
    return b"".join(
        [
            *_jpeg_start(0xC2, width, height, 1),
            _segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0"),  # means: one code, of one bit, for "as the last"
            _segment(0xC4, b"\x10" + bytes([0, 0, 0, 15] + [0] * 12) + bytes(16 * run for run in range(15))),  # runs of blocks without the frequency
            _segment(0xDA, b"\1\1\0" + bytes([0, 0, 0])),
            bytes(-(-blocks // 8)),
            *(_segment(0xDA, b"\1\1\0" + bytes([frequency, frequency, 16 * high + low])) + runs for frequency, high, low in bands[: scans - 1]),
            b"\xff\xd9",
        ]
    )


def jpeg_of_repeated_scans(width: int, height: int, scans: int) -> bytes:
    """A sequential JPEG of three components, each in scans of its own, which come again and again: decoders that stop at no repetition read all."""
    blocks = -(-width // 8) * -(-height // 8)
    data = bytes(-(-blocks // 4))  # two bits a block: the mean is as the last, and all else is zero
    return b"".join(
        [
            *_jpeg_start(0xC1, width, height, 3),
            _segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0"),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            *(_segment(0xDA, bytes([1, 1 + number % 3, 0, 0, 63, 0])) + data for number in range(scans)),
            b"\xff\xd9",
        ]
    )


def by_pillow(file_format: str, mode: str, width: int, height: int, frames: int = 1, **options: object) -> bytes:
    """A picture that Pillow encodes; the frames of an animation differ by one grey level."""
    import PIL.Image

    images = [PIL.Image.new("L", (width, height), 100 + number).convert(mode) for number in range(frames)]
    animation = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    buffer = io.BytesIO()
    images[0].save(buffer, file_format, **animation, **options)
    return buffer.getvalue()


PICTURES = {  # name -> function that makes its bytes
    "huge PNG": lambda: png(12_200, 12_200),  # 434 kB
    "huge RGBA PNG": lambda: png(12_200, 12_200, 6),
    "huge PNG, a transparent colour": lambda: png(12_200, 12_200, 2, transparent=True),
    "palette PNG of 40 MP": lambda: png(8000, 5000, 3),
    "palette PNG of 40 MP, transparent": lambda: png(8000, 5000, 3, transparent=True),
    "grey and alpha PNG of 40 MP": lambda: png(8000, 5000, 4),
    "interlaced RGBA PNG of 16 bits, 40 MP": lambda: png(8000, 5000, 6, 16, interlaced=True),
    "huge PNG of one bit": lambda: png(12_200, 12_200, 0, 1),
    "APNG of 20 frames, 16 MP": lambda: png(4000, 4000, 6, frames=20),
    "GIF of 60 frames, 16 MP": lambda: gif(4000, 4000, 60),
    "GIF of 40 MP": lambda: gif(8000, 5000),
    "GIF whose header hides 400 MP": lambda: gif(20_000, 20_000, screen=(10, 10)),
    "BMP of 20 MP": lambda: bmp(5000, 4000),
    "BMP of 20 MP, top down": lambda: bmp(5000, 4000, is_top_down=True),
    "RLE BMP of 40 MP": lambda: rle_bmp(8000, 5000),
    "JPEG of 600 scans": lambda: jpeg_of_scans(7000, 7000, 600),
    "small JPEG of 600 scans": lambda: jpeg_of_scans(1000, 1000, 600),
    "JPEG of 600 repeated scans": lambda: jpeg_of_repeated_scans(1500, 1500, 600),
    "JPEG of 100 MP": lambda: by_pillow("JPEG", "RGB", 12_000, 8400),
    "progressive JPEG of 40 MP": lambda: by_pillow("JPEG", "RGB", 8000, 5000, progressive=True),
    "progressive JPEG of 40 MP, 4:4:4": lambda: by_pillow("JPEG", "RGB", 8000, 5000, progressive=True, subsampling=0),
    "progressive JPEG of 144 MP": lambda: by_pillow("JPEG", "RGB", 12_000, 12_000, progressive=True),
    "progressive CMYK JPEG of 40 MP": lambda: by_pillow("JPEG", "CMYK", 8000, 5000, progressive=True),
    "CMYK JPEG of 40 MP": lambda: by_pillow("JPEG", "CMYK", 8000, 5000),
    "WebP of 40 MP": lambda: by_pillow("WEBP", "RGBA", 8000, 5000, method=0),
    "WebP of 20 frames, 4 MP": lambda: by_pillow("WEBP", "RGB", 2000, 2000, 20, lossless=True, method=0),
}


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _scanline_bytes(width, height, bits_a_pixel, interlaced):
    """How many bytes the rows have before they are deflated, each with the byte that names its filter."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - left) // right), -(-(height - top) // down)) for left, top, right, down in passes]
    return sum(rows * (1 + -(-columns * bits_a_pixel // 8)) for columns, rows in sizes if columns > 0)


def _zeros_deflated(count):
    deflate, zeros = zlib.compressobj(9), bytes(2**20)
    parts = [deflate.compress(zeros) for _ in range(count // 2**20)]
    return b"".join([*parts, deflate.compress(bytes(count % 2**20)), deflate.flush()])


def _lzw_of_zeros(count):
    """`count` zeros as a GIF's codes, of two bits at least: each code names a run that is one longer than the last, until the table is full."""
    codes, clear, end = [(4, 3)], 4, 5  # (code, its bits)
    while count:
        codes.append((0, 3))
        count, free = count - 1, end + 1
        while count and free < 4095:
            length = min(count, free - 4)
            codes.append((length + 4 if length > 1 else 0, max(3, free.bit_length())))
            count, free = count - length, free + 1
        codes.append((clear if count else end, max(3, free.bit_length())))
    bits = "".join(format(code, f"0{length}b") for code, length in reversed(codes))
    return int(bits, 2).to_bytes(-(-len(bits) // 8), "little")


def _sub_blocks(data):
    blocks = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def _jpeg_start(frame, width, height, components):
    yield b"\xff\xd8"
    yield _segment(0xDB, b"\0" + bytes([1] * 64))
    yield _segment(frame, struct.pack(">BHHB", 8, height, width, components) + b"".join(bytes([1 + number, 0x11, 0]) for number in range(components)))


def _segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


def _end_of_band_runs(blocks):
    """Bits that say "nothing" of so many blocks: a code of four bits for each run, and its length."""
    bits = ""
    while blocks:
        run = min(14, blocks.bit_length() - 1)
        length = min(blocks, 2 ** (run + 1) - 1)
        bits += format(run, "04b") + (format(length - 2**run, f"0{run}b") if run else "")
        blocks -= length
    return bits


def _entropy_coded(bits):
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def main():
    folder, names = Path(sys.argv[1]), sys.argv[2:] or PICTURES
    folder.mkdir(exist_ok=True)
    for name in names:
        encoded = PICTURES[name]()
        Path(folder, name.replace(" ", "_")).write_bytes(encoded)
        print(f"{len(encoded):>12,} bytes  {name}")


if __name__ == "__main__":
    main()
