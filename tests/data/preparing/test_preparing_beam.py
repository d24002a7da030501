import sys

import pytest

from tfvision.data.preparing.preparing import prepare
from tfvision.errors import DataError, RecipeError, UserError

OPTIONS = ("--runner=DirectRunner",)


@pytest.fixture
def photos(colour_jpegs, tmp_path):
    folder = tmp_path / "photos"
    (folder / "reds").mkdir(parents=True)
    (folder / "blues").mkdir()
    for number, path in enumerate(sorted((colour_jpegs / "photos").iterdir())[:12]):
        (folder / ("reds" if number % 2 else "blues") / f"{number}.jpg").write_bytes(path.read_bytes())
    (folder / "reds" / "3.jpg").write_bytes(b"no image")
    return folder


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_it_writes_the_bytes_that_this_machine_writes_and_goes_on_where_it_was_stopped(photos, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    seen = []
    result = prepare(photos, tmp_path / "beam", size=40, shards=3, runner_options=OPTIONS, progress=lambda done, total: seen.append((done, total)))
    prepare(photos, tmp_path / "here", size=40, shards=3)
    assert files_of(tmp_path / "beam") == files_of(tmp_path / "here")
    assert (result["images"], result["failed"], seen[-1]) == (11, 1, (12, 12))


def test_a_job_that_fails_is_told_in_one_line_and_goes_on_with_resume(photos, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    from tfvision.data.preparing import preparing_beam

    write_shard = preparing_beam.write_shard

    def failing_at_the_last(job, encoded):
        if "00002-of" in job.path:
            raise RuntimeError("a worker is gone")
        write_shard(job, encoded)

    monkeypatch.setattr(preparing_beam, "write_shard", failing_at_the_last)
    with pytest.raises(DataError, match="(?s)the Beam job failed: .*a worker is gone.*; what is finished stays"):
        prepare(photos, tmp_path / "out", shards=3, runner_options=OPTIONS)
    monkeypatch.setattr(preparing_beam, "write_shard", write_shard)
    prepare(photos, tmp_path / "out", shards=3, is_resumed=True, runner_options=OPTIONS)
    prepare(photos, tmp_path / "here", shards=3)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")


def test_a_runner_that_does_not_exist_is_told_before_anything_is_written(photos, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    with pytest.raises(RecipeError, match="Beam does not take --runner=NoRunner: "):
        prepare(photos, tmp_path / "out", runner_options=("--runner=NoRunner",))
    assert not (tmp_path / "out").exists()


def test_without_beam_one_line_says_how_to_get_it(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match="Apache Beam is not installed"):
        prepare(photos, tmp_path / "out", runner_options=OPTIONS)
    assert not (tmp_path / "out").exists()
