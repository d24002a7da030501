"""Films, read and written by PyAV (`pip install "tfvision[video]"`): frames with their times, and the sound that goes with them."""

import contextlib
import heapq
import importlib.util
import math
import typing
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfvision.data.decoding import MAX_PIXELS
from tfvision.data.frames import Frame, Part
from tfvision.data.resizing import fitted_size
from tfvision.errors import DataError, DataWarning, StorageError, UserError, in_one_line
from tfvision.files import atomic_path

FILM_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # that are written
NEEDS_VIDEO = 'films are read and written by PyAV and held together by OpenCV: pip install "tfvision[video]"'

# Named, because a playlist or an image would have FFmpeg open what else it names.
_DEMUXERS = "mov,matroska,avi,mpegts,mpeg,ogg,flv,asf,mxf,mjpeg,h264,hevc,m4v,mpegvideo,rm,dv"
_SOUND = {"mov": ("aac", "mp3", "ac3", "eac3", "alac"), "mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")}  # that is copied; else it becomes AAC
_QUALITY = {"crf": "18", "preset": "medium", "bf": "0"}  # without B-frames, decoding times are those of showing, and parts join as they are
_DEFAULT_RATE = Fraction(25)
_FINEST_CLOCK = 1_000_000  # ticks a second; what counts finer is written in ticks of 1 / 90000
_LONGEST_FRAME_SECONDS = 600  # a longer pause is a broken time
_MISSING_SECONDS, _MISSING_SHARE = 1, 0.05  # by which a film may end before its header says


def is_film_name(path: Path | str) -> bool:
    """Whether a file's name ends as a film's does."""
    return Path(path).suffix.lower() in _FILM_SUFFIXES


_FILM_SUFFIXES = frozenset(
    [*FILM_FORMATS, ".avi", ".webm", ".mts", ".m2ts", ".ts", ".3gp", ".wmv", ".mpg", ".mpeg", ".flv", ".ogv", ".insv", ".lrv", ".mxf", ".dv", ".vob"]
)


def check_video_extra() -> None:
    """Raises DataError where PyAV or OpenCV is missing."""
    if not all(importlib.util.find_spec(name) for name in ("av", "cv2")):
        raise DataError(NEEDS_VIDEO)


class FilmReader:
    """Reads a film. All its packets are looked through first, so that what is cut short is refused before hours of work.

    Args:
      path: of the film.
      size_px: longer side of the frames; they are scaled as they are decoded, whatever size the film has.

    Attributes:
      path, count, faults: as of FrameReader.
      clock: Fraction, seconds of a tick of its times.
      rate: Fraction, frames a second, on average.
      origin: Fraction, the film's own time of its beginning.
      has_sound: whether there is sound to keep.

    Raises:
      DataError: PyAV is missing; no film, one without frames, cut short, or of more than MAX_PIXELS.
    """

    def __init__(self, path: Path | str, size_px: int):
        check_video_extra()
        self.path, self._size_px = Path(path), size_px
        self.faults: list[tuple[str, str]] = []
        with _opened(path) as container:
            video = _video_of(container, path)
            self.clock = _clock(video.time_base)
            self.rate = Fraction(video.average_rate or video.guessed_rate or _DEFAULT_RATE)
            self.has_sound = _sound_of(container) is not None
            if container.streams.audio and not self.has_sound:
                warnings.warn(f"{path}: its sound is of a kind that PyAV cannot decode, and is left out", DataWarning, stacklevel=2)
            self.count, self.origin = _look_through(container, video, path)

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yields the frames from number `first` on; broken ones are left out, with a DataWarning.

        Raises:
          DataError: not one can be decoded, or the film cannot be read any more.
        """
        number, damaged = 0, 0
        times = _Times(1 / self.rate, self.origin)
        waiting: Frame | None = None
        with _opened(self.path) as container:
            video, view = _video_of(container, self.path), _View(self._size_px)
            for frame in self._decoded(container, video):
                if frame is None:
                    damaged += 1
                    continue
                start = times.of(frame, video.time_base)
                if waiting:
                    yield waiting._replace(seconds=start - waiting.start)
                number += 1
                view.measure(frame, video)  # the first one says the size of all, also where it is gone on with
                seconds = frame.duration * Fraction(video.time_base) if frame.duration else 1 / self.rate
                waiting = Frame(view.of(frame), start, seconds) if number > first else None
        if waiting:
            yield waiting
        if not number:
            raise DataError(f"{self.path} has no frame that can be decoded: check that it plays")
        if damaged:
            warnings.warn(f"{self.path}: {damaged} frames are damaged and were left out", DataWarning, stacklevel=2)

    def _decoded(self, container, video):
        """PyAV's frames; None for each packet that is broken."""
        import av

        packets = container.demux(video)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise DataError(f"{self.path} cannot be read any further ({_told(error)})") from error
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                yield None


class FilmWriter:
    """Writes a film as H.264 (yuv420p, CRF 18), with the sound of another.

    Args:
      out: path, which ends as FILM_FORMATS do.
      folder: where the parts lie until they are joined, each a film that can be watched.
      reader: the FilmReader whose clock, rate and sound it takes; None = 1 / 1000 s, and silent.
    """

    def __init__(self, out: Path, folder: Path, reader: FilmReader | None = None):
        self._out, self._folder, self._reader = Path(out), Path(folder), reader
        self._clock, self._rate = (reader.clock, reader.rate) if reader else (Fraction(1, 1000), _DEFAULT_RATE)

    def write_part(self, number: int, frames: Iterable[Frame]) -> None:
        import av

        with _written(self._path(number), "mp4") as container:
            video, begin = None, Fraction(0)
            for frame in frames:
                if video is None:
                    video, begin = self._add_video(container, *frame.pixels.shape[:2]), frame.start
                picture = av.VideoFrame.from_ndarray(frame.pixels, "rgb24")
                picture = picture.reformat(video.width, video.height, "yuv420p", dst_colorspace="ITU709")
                picture.pts, picture.time_base = round((frame.start - begin) / self._clock), self._clock
                container.mux(video.encode(picture))
            if video is not None:
                container.mux(video.encode(None))

    def join(self, parts: Sequence[Part]) -> None:
        suffix = self._out.suffix.lower()
        options = {} if FILM_FORMATS[suffix] == "matroska" else {"movflags": "+faststart"}
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(_opened(self._reader.path)) if self._reader and self._reader.has_sound else None
            target = stack.enter_context(_written(self._out, FILM_FORMATS[suffix], options))
            with _opened(self._path(0)) as first:
                video = target.add_stream_from_template(first.streams.video[0])
            video.time_base = self._clock
            sound = _Sound(_sound_of(source), target, suffix, self._reader.origin) if source else None
            packets = heapq.merge(self._packets(parts, video), sound.packets(source) if sound else (), key=lambda packet: packet.dts * packet.time_base)
            for packet in packets:
                target.mux_one(packet)

    def _path(self, number):
        return self._folder / f"{number:05d}.mp4"

    def _add_video(self, container, height, width):
        video = container.add_stream("libx264", rate=self._rate, options=_QUALITY)
        video.width, video.height, video.pix_fmt = _even(width), _even(height), "yuv420p"
        context = video.codec_context
        context.time_base = self._clock
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709, as the frames are converted
        return video

    def _packets(self, parts, video):
        """The packets of all parts, each at its time in the whole."""
        for number, part in enumerate(parts):
            with _opened(self._path(number)) as container:
                waiting = None
                for packet in container.demux(container.streams.video[0]):
                    if packet.dts is None:
                        continue
                    time = round((part.start + packet.pts * packet.time_base) / self._clock)
                    packet.pts = packet.dts = time
                    packet.time_base, packet.stream = self._clock, video
                    if waiting:
                        waiting.duration = time - waiting.pts
                        yield waiting
                    waiting = packet
                if waiting:
                    waiting.duration = max(1, round(part.end / self._clock) - waiting.pts)
                    yield waiting


class _Sound:
    """A stream of sound on its way into another container: copied where that takes it, else as AAC."""

    def __init__(self, stream, target, suffix, origin):
        import av

        self._stream, self._origin = stream, origin
        name = stream.codec_context.codec.canonical_name
        if name in (_SOUND.get(FILM_FORMATS[suffix]) or target.supported_codecs):
            self._copy, self._encoder = target.add_stream_from_template(stream), None
        else:
            layout = "mono" if stream.layout.nb_channels == 1 else "stereo"
            self._encoder = target.add_stream("aac", rate=stream.rate or 44100, layout=layout)
            self._resampler = av.AudioResampler("fltp", layout, self._encoder.rate)

    def packets(self, container):
        return self._copied(container) if self._encoder is None else self._encoded(container)

    def _copied(self, container):
        last = None
        for packet in container.demux(self._stream):
            if packet.dts is None or packet.size == 0:
                continue
            shift = round(self._origin / packet.time_base)
            packet.dts -= shift
            packet.pts = packet.dts if packet.pts is None else packet.pts - shift
            if last is not None and packet.dts <= last:
                continue  # a container takes no time twice
            last, packet.stream = packet.dts, self._copy
            yield packet

    def _encoded(self, container):
        for packet in container.demux(self._stream):
            with contextlib.suppress(_av_error(), ValueError):  # broken, or of another layout than it began with
                for frame in packet.decode():
                    frame.pts = None if frame.pts is None else frame.pts - round(self._origin / frame.time_base)
                    for even in self._resampler.resample(frame):
                        yield from self._encoder.encode(even)
        for rest in self._resampler.resample(None):
            yield from self._encoder.encode(rest)
        yield from self._encoder.encode(None)


class _Times:
    """The times of frames as they are decoded: from 0 on, each later than the last."""

    def __init__(self, usual, origin):
        self._usual, self._shift, self._last = usual, origin, None

    def of(self, frame, tick):
        tick = Fraction(tick)
        time = None if frame.pts is None else frame.pts * tick - self._shift
        if self._last is None:
            time = max(Fraction(0), time or Fraction(0))
        elif time is None:
            time = self._last + self._usual
        elif time <= self._last:
            time = self._last + tick
        elif time > self._last + _LONGEST_FRAME_SECONDS:
            self._shift += time - self._last - self._usual
            time = self._last + self._usual
        self._last = time
        return time


class _View:
    """Makes pixels of decoded frames: upright, with square pixels, small; the first one says the size of all."""

    def __init__(self, size_px):
        from av.video.reformatter import VideoReformatter

        self._size_px, self._shape, self._quarters = size_px, None, 0
        self._reformatter = VideoReformatter()

    def measure(self, frame, video):
        if self._shape is None:
            wide = frame.width * (video.sample_aspect_ratio or 1)
            self._shape = fitted_size(frame.height, float(wide), self._size_px)
            self._quarters = round(frame.rotation / 90) % 4 if math.isfinite(frame.rotation) else 0

    def of(self, frame):
        height, width = self._shape
        is_known = frame.colorspace in (1, 5, 6, 7, 9, 10)
        colours = frame.colorspace if is_known else (1 if frame.height >= 720 else 5)
        small = self._reformatter.reformat(frame, width, height, "rgb24", src_colorspace=colours, interpolation="LANCZOS")
        return np.ascontiguousarray(np.rot90(small.to_ndarray(), self._quarters))


@contextlib.contextmanager
def _opened(path: Path | str) -> Iterator[typing.Any]:
    """The film as PyAV opens it. Raises DataError."""
    import av

    try:
        if not Path(path).stat().st_size:
            raise DataError(f"{path} is empty (0 bytes)")
        container = av.open(str(Path(path).absolute()), options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"})
    except UserError:
        raise
    except (av.FFmpegError, OSError, UnicodeError, ValueError) as error:
        if isinstance(error, OSError) and not Path(path).exists():
            raise DataError(f"{path} cannot be read ({error.strerror})") from error
        raise DataError(f"{path} is no film that can be read ({_told(error)}); it may be cut short, or be something else") from error
    with container:
        yield container


@contextlib.contextmanager
def _written(path: Path, format: str, options: dict[str, str] | None = None) -> Iterator[typing.Any]:
    """A container that appears at `path` when the block ends well. Raises StorageError."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(path) as temporary, av.open(str(temporary), "w", format=format, options=options or {}) as container:
            yield container
    except av.FFmpegError as error:
        raise StorageError(f"{path} could not be written ({_told(error)}): try another kind of file, as .mkv") from error


def _told(error: Exception) -> str:
    """What FFmpeg says, without its numbers and names of functions."""
    return getattr(error, "strerror", None) or in_one_line(error)


def _av_error() -> type[Exception]:
    import av

    return av.FFmpegError


def _video_of(container, path):
    """The stream of pictures that move, set up so that no frame may be larger than a photo may. Raises DataError."""
    from av.stream import Disposition

    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise DataError(f"{path} holds {'sound alone, no pictures' if container.streams.audio else 'no frames'}: check that it plays")
    video = streams[0]
    context = video.codec_context
    if context is None:
        raise DataError(f"{path} is of a kind that PyAV cannot decode: save it as H.264")
    if context.width * context.height > MAX_PIXELS:
        raise DataError(f"{path} declares frames of more than {MAX_PIXELS:,} pixels: scale it down")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_type, context.thread_count = "SLICE", 2  # a frame a thread would be memory for each
    return video


def _sound_of(container):
    """The first stream of sound that can be decoded, or None."""
    return next((stream for stream in container.streams.audio if stream.codec_context), None)


def _look_through(container, video, path):
    """(packets of pictures, time of the beginning) of a film. Raises DataError where it has none or is cut short."""
    count, starts, end = 0, {}, Fraction(0)
    try:
        for packet in container.demux():
            if not packet.size or packet.stream.type not in ("video", "audio"):
                continue
            count += packet.stream.index == video.index
            if (ticks := packet.dts if packet.pts is None else packet.pts) is not None:
                time = ticks * Fraction(packet.time_base)
                starts[packet.stream.index] = min(time, starts.get(packet.stream.index, time))
                end = max(end, time + (packet.duration or 0) * packet.time_base)
            if packet.is_corrupt:
                raise DataError(f"{path} is cut short after {float(end):.1f} s: copy it again")
    except _av_error() as error:
        raise DataError(f"{path} is cut short or damaged ({_told(error)}): copy it again") from error
    if not count:
        raise DataError(f"{path} holds no frames: check that it plays")
    begin, told = min(starts.values(), default=Fraction(0)), Fraction(container.duration or 0, 1_000_000)
    if told - (end - begin) > max(_MISSING_SECONDS, _MISSING_SHARE * told) or count < (1 - _MISSING_SHARE) * video.frames - 1:
        raise DataError(f"{path} is cut short: of {float(told):.1f} s it holds {float(end - begin):.1f} s, {count} frames; copy it again")
    return count, max(Fraction(0), begin)


def _clock(tick):
    return Fraction(tick) if tick and tick.denominator <= _FINEST_CLOCK else Fraction(1, 90_000)


def _even(length):
    return max(2, length - length % 2)
