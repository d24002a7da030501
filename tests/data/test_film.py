"""Films as cameras and phones make them, and as they should not be; written by PyAV here, read and written again."""

import resource
import signal
import struct
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest

from tfvision.data import film
from tfvision.data.film import FilmReader, FilmWriter, is_film_name
from tfvision.data.frames import Part
from tfvision.errors import DataError, DataWarning, StorageError

av = pytest.importorskip("av")
TIMES = [0, 40, 100, 250, 251, 300, 340, 500]  # milliseconds


def copied(source, out, cuts=(3, 8), size=64):
    """A film read and written again in parts that end before these frames."""
    reader = FilmReader(source, size)
    frames, parts = list(reader.frames()), []
    writer = FilmWriter(out, out.with_suffix(".frames"), reader)
    for begin, end in zip((0, *cuts), cuts, strict=False):
        writer.write_part(len(parts), iter(frames[begin:end]))
        parts.append(Part(end - begin, frames[begin].start, frames[end - 1].start + frames[end - 1].seconds))
    writer.join(parts)
    return reader


def tracks(path):
    """{"video" or "audio": (codec, times at which its packets end, in seconds)} of a film."""
    with av.open(str(path)) as container:
        found = {stream.type: (stream.codec_context.codec.canonical_name, []) for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                found[packet.stream.type][1].append((packet.pts + packet.duration) * packet.time_base)
    return found


# Reading


def test_frames_come_with_their_times_scaled_and_from_any_number_on(tmp_path, draw_film, moving_texture):
    reader = FilmReader(draw_film(tmp_path / "1.mp4"), 32)
    frames = list(reader.frames())
    assert reader.count == 8 and [frame.start for frame in frames] == [Fraction(n, 25) for n in range(8)]
    assert {frame.seconds for frame in frames} == {Fraction(1, 25)} and frames[0].pixels.shape == (24, 32, 3)
    expected = np.asarray(PIL.Image.fromarray(moving_texture(5)).resize((32, 24), PIL.Image.Resampling.LANCZOS))
    assert np.abs(frames[5].pixels.astype(int) - expected).mean() < 12
    np.testing.assert_array_equal([frame.pixels for frame in reader.frames(6)], [frame.pixels for frame in frames[6:]])


def test_variable_rates_are_kept_to_the_tick(tmp_path, draw_film):
    copied(draw_film(tmp_path / "1.mkv", times=TIMES), tmp_path / "2.mp4")
    frames = list(FilmReader(tmp_path / "2.mp4", 64).frames())
    assert [frame.start for frame in frames] == [Fraction(time, 1000) for time in TIMES]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_flags_turn_frames_upright(tmp_path, draw_film, moving_texture, degrees):
    (first, *_) = FilmReader(draw_film(tmp_path / "1.mp4", rotation=degrees), 64).frames()
    expected = np.rot90(moving_texture(0), degrees // 90).astype(int)
    assert first.pixels.shape == expected.shape and np.abs(first.pixels - expected).mean() < 12


@pytest.mark.parametrize("matrix", [(46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30), (0,) * 9], ids=["45 degrees", "none"])
def test_a_wrong_rotation_flag_harms_nothing(tmp_path, draw_film, matrix):
    content = bytearray(draw_film(tmp_path / "1.mp4").read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # behind version, flags, times, layer and volume
    content[place : place + 36] = struct.pack(">9i", *matrix)
    (tmp_path / "1.mp4").write_bytes(content)
    assert sorted(next(FilmReader(tmp_path / "1.mp4", 64).frames()).pixels.shape) == [3, 48, 64]


def test_a_film_of_one_frame_is_one(tmp_path, draw_film):
    copied(draw_film(tmp_path / "1.mp4", range(1)), tmp_path / "2.mp4", cuts=(1,))
    assert len(list(FilmReader(tmp_path / "2.mp4", 64).frames())) == 1


def test_damaged_frames_are_left_out_and_told(tmp_path, draw_film):
    path = draw_film(tmp_path / "1.mp4", range(30))
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    content[places[20] : places[20] + 4] = b"\xff" * 4  # the length of what follows
    path.write_bytes(content)
    with pytest.warns(DataWarning, match="1.mp4: 1 frames are damaged and were left out"):
        assert len(list(FilmReader(path, 64).frames())) == 29


# Writing


@pytest.mark.parametrize(
    ("source", "sound", "out", "codec"),
    [
        ("1.mp4", "aac", "2.mp4", "aac"),
        ("1.mp4", "libmp3lame", "2.mov", "mp3"),
        ("1.mkv", "pcm_s16le", "2.mp4", "aac"),
        ("1.mkv", "pcm_s16le", "2.mkv", "pcm_s16le"),
    ],
)
def test_sound_is_copied_where_the_container_takes_it_else_it_becomes_aac(tmp_path, draw_film, source, sound, out, codec):
    copied(draw_film(tmp_path / source, sound=sound), tmp_path / out)
    before, after = tracks(tmp_path / source)["audio"], tracks(tmp_path / out)["audio"]
    assert after[0] == codec and abs(float(after[1][-1] - before[1][-1])) < 0.05
    if before[0] == codec:
        assert len(before[1]) == len(after[1])


def test_films_are_h264_for_every_player_and_begin_with_their_index(tmp_path, draw_film):
    copied(draw_film(tmp_path / "1.mp4", size=(50, 66)), tmp_path / "2.mp4", size=65)
    with av.open(str(tmp_path / "2.mp4")) as container:
        (video,) = container.streams.video
        assert (video.codec_context.name, video.pix_fmt, video.width % 2, video.height % 2) == ("h264", "yuv420p", 0, 0)
        assert video.average_rate == 25 and video.frames == 8
    content = (tmp_path / "2.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_colours_come_back(tmp_path):
    from tfvision.data.frames import Frame

    colours = [(200, 40, 40), (40, 160, 60), (30, 60, 200), (128, 128, 128)]
    frames = [Frame(np.full((48, 64, 3), colour, np.uint8), Fraction(n, 25), Fraction(1, 25)) for n, colour in enumerate(colours)]
    writer = FilmWriter(tmp_path / "1.mp4", tmp_path / "parts")
    writer.write_part(0, frames)
    writer.join([Part(4, Fraction(0), Fraction(4, 25))])
    for frame, colour in zip(FilmReader(tmp_path / "1.mp4", 64).frames(), colours, strict=True):
        assert np.abs(frame.pixels.reshape(-1, 3).mean(0) - colour).max() < 4


def test_what_a_full_disk_cuts_short_is_a_storage_error_and_leaves_what_was_there(tmp_path, draw_film):
    reader = FilmReader(draw_film(tmp_path / "1.mp4", range(8)), 256)
    (tmp_path / "00000.mp4").write_text("mine")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"00000.mp4 could not be written \(File too large\)"):
            FilmWriter(tmp_path / "2.mp4", tmp_path, reader).write_part(0, reader.frames())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "00000.mp4").read_text() == "mine"


# What is no film


def test_what_is_no_film_ends_in_one_line(tmp_path, draw_film):
    whole = draw_film(tmp_path / "whole.mp4", range(60)).read_bytes()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is a text." * 99)
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nwhole.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    PIL.Image.new("RGB", (64, 48)).save(tmp_path / "photo.mp4", "JPEG")
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # before its index
    with av.open(str(tmp_path / "bare.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        container.start_encoding()
    for name, message in {
        "gone": "cannot be read (No such file or directory)",
        "empty": "is empty (0 bytes)",
        "text": "is no film that can be read",
        "playlist": "is no film that can be read",
        "list": "is no film that can be read",
        "photo": "is no film that can be read",
        "cut": "it may be cut short",
        "bare": "holds no frames",
    }.items():
        with pytest.raises(DataError) as raised:
            FilmReader(tmp_path / f"{name}.mp4", 64)
        assert f"{name}.mp4 " in str(raised.value) and message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["whole.mp4", "whole.mkv"])
def test_what_is_cut_short_behind_its_index_is_told_before_any_work(tmp_path, draw_film, name):
    copied(draw_film(tmp_path / "1.mp4", range(60)), tmp_path / name, cuts=(60,))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{name} is cut short"):
        FilmReader(tmp_path / name, 64)


def test_sound_alone_is_no_film(tmp_path):
    with av.open(str(tmp_path / "1.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9000), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with pytest.raises(DataError, match="holds sound alone, no pictures"):
        FilmReader(tmp_path / "1.mp4", 64)


def test_frames_larger_than_a_photo_may_be_are_refused_before_they_are_decoded(tmp_path, draw_film, monkeypatch):
    monkeypatch.setattr(film, "MAX_PIXELS", 3000)
    with pytest.raises(DataError, match="declares frames of more than 3,000 pixels"):
        FilmReader(draw_film(tmp_path / "1.mp4"), 64)


def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(film.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "tfvision\[video\]"'):
        FilmReader(tmp_path / "1.mp4", 64)


def test_films_are_told_by_their_names():
    assert all(map(is_film_name, ("1.mp4", "A.MOV", "2.webm", "3.mts"))) and not any(map(is_film_name, ("1.gif", "1.mp3", "1.jpg", "1")))
