import dataclasses
import hashlib
import json

import PIL.Image
import pytest

from tfvision.apps.style.sidecar import (
    ReconstructionJob,
    StyleJob,
    differences,
    identity,
    job_like,
    made_before,
    read_sidecar,
    sha256_of,
    versions,
    write_sidecar,
)
from tfvision.errors import DataError, FileError, RunError

MADE = {"iterations": 3, "content_loss": 1.0, "style_loss": 2.0, "seconds": 4.0}


@pytest.fixture
def job(tmp_path, photo, painting, tiny_preset, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for name, pixels in (("photo.png", photo), ("painting.png", painting), ("mask.png", photo[..., 0]), ("out/1.png", photo)):
        PIL.Image.fromarray(pixels).save(name)
    return StyleJob("photo.png", ("painting.png",), ("mask.png",), tiny_preset, colour="luminance")


def test_a_record_gives_its_job_back_wherever_it_is_read(job, tmp_path, monkeypatch):
    write_sidecar("out/1.png", job, MADE, "tfvision stylize ...")
    assert job_like("out/1.png.json") == job_like("out/1.png") == job
    monkeypatch.chdir(tmp_path / "out")
    moved = {"photo": "../photo.png", "paintings": ("../painting.png",), "masks": ("../mask.png",)}
    assert job_like("1.png.json") == dataclasses.replace(job, **moved)
    assert differences("1.png.json", job_like("1.png.json")) == []


def test_a_record_has_files_with_their_sha256_weights_and_versions(job):
    write_sidecar("out/1.png", job, MADE, "tfvision stylize ...")
    record = json.loads(open("out/1.png.json").read())
    digest = hashlib.sha256(open("photo.png", "rb").read()).hexdigest()
    assert record["files"]["photo"] == [{"path": "../photo.png", "sha256": digest}]
    assert record["output"] == {"path": "1.png", "sha256": sha256_of("out/1.png")}
    assert record["command"] == "tfvision stylize ..." and record["iterations"] == 3
    assert record["network"]["name"] == "vgg19_slim" and len(record["network"]["sha256"]) == 64
    assert {"tfvision", "python", "tensorflow", "keras", "numpy", "scipy", "pillow"} <= set(record["versions"])


def test_a_record_of_before_large_pictures_were_carried_up_makes_the_picture_that_it_made(job):
    write_sidecar("out/1.png", job, MADE, "")
    record = json.loads(open("out/1.png.json").read())
    for name in ("carried_above", "carried_iterations"):
        del record["settings"]["preset"][name]
    open("out/1.png.json", "w").write(json.dumps(record))
    assert job_like("out/1.png").preset == dataclasses.replace(job.preset, carried_above=0)


def test_auto_becomes_the_network_that_it_was(job):
    auto = dataclasses.replace(job, preset=dataclasses.replace(job.preset, network="auto"))
    write_sidecar("out/1.png", auto, MADE, "")
    assert job_like("out/1.png").preset.network == read_sidecar("out/1.png")[1]["network"]["name"]


def test_what_has_changed_since_is_told(job, painting):
    write_sidecar("out/1.png", job, MADE, "")
    record = json.loads(open("out/1.png.json").read())
    record["versions"]["tensorflow"] = "1.0"
    record["network"]["sha256"] = "0"
    open("out/1.png.json", "w").write(json.dumps(record))
    PIL.Image.fromarray(painting[::-1].copy()).save("painting.png")
    found = differences("out/1.png", job)
    assert found == ["paintings: not what it was then", f"tensorflow: 1.0 then, {versions()['tensorflow']} now", "network: not the weights of then"]


@pytest.mark.parametrize(
    "change",
    [{"colour": ""}, {"photo": "painting.png"}, {"paintings": ("photo.png",)}, {"masks": ()}, {"blend": (1.0,)}, "size", "seed"],
    ids=str,
)
def test_all_that_decides_a_picture_changes_its_identity(job, change):
    if isinstance(change, str):
        change = {"preset": dataclasses.replace(job.preset, **{change: 99})}
    assert identity(dataclasses.replace(job, **change)) != identity(job)


def test_where_a_file_lies_does_not_change_the_identity(job):
    open("copy.png", "wb").write(open("photo.png", "rb").read())
    assert identity(dataclasses.replace(job, photo="copy.png")) == identity(job)


def test_a_picture_counts_as_made_only_by_the_same_job_and_whole(job, photo):
    assert made_before("out/1.png", job) is None
    write_sidecar("out/1.png", job, MADE, "")
    assert made_before("out/1.png", job)["style_loss"] == 2.0
    assert made_before("out/1.png", dataclasses.replace(job, colour="")) is None
    assert made_before("out/1.png", job, frame={"after": "0"}) is None
    PIL.Image.fromarray(photo[::-1].copy()).save("out/1.png")
    assert made_before("out/1.png", job) is None


def test_a_reconstruction_has_a_record_too(job, tiny_preset):
    own = ReconstructionJob("content", "photo.png", ("conv4_1",), tiny_preset)
    write_sidecar("out/1.png", own, MADE, "")
    assert made_before("out/1.png", own) and not made_before("out/1.png", dataclasses.replace(own, layers=("conv5_1",)))
    with pytest.raises(RunError, match="no whole record of `tfvision stylize`"):
        job_like("out/1.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "1.png.json does not exist: give the record that `tfvision stylize` left beside its picture"),
        ("{", "cannot be read as JSON"),
        ("[]", "is no record of `tfvision stylize`"),
        ('{"files": {}, "settings": {"preset": {}}, "network": {}, "versions": {}}', "no whole record"),
    ],
)
def test_what_is_no_record_is_named(job, text, message):
    if text is not None:
        open("out/1.png.json", "w").write(text)
    with pytest.raises(FileError, match=message):
        job_like("out/1.png")


def test_a_file_that_is_gone_is_named(job):
    with pytest.raises(DataError, match=r"gone.png cannot be read \(No such file or directory\)"):
        sha256_of("gone.png")


def test_a_fast_networks_files_are_told_apart_where_the_record_has_them(job, tmp_path):
    fast = dataclasses.replace(job, is_fast=True, module="pair", strength=0.5)
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "1.tflite").write_text("one")
    write_sidecar("out/1.png", fast, MADE, "")
    assert job_like("out/1.png", "pair") == fast and differences("out/1.png", fast) == []
    (tmp_path / "pair" / "1.tflite").write_text("another")
    assert differences("out/1.png", fast) == ["network: not the weights of then"]
    record = json.loads((tmp_path / "out" / "1.png.json").read_text())
    (tmp_path / "out" / "1.png.json").write_text(json.dumps({**record, "network": {}}))  # as records were before
    assert differences("out/1.png", fast) == []


@pytest.mark.parametrize("module", ["pair", "pair/1.tflite,pair/2.tflite"])
def test_a_pair_that_only_a_record_names_is_not_run(job, tmp_path, module):
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "1.tflite").write_text("one")
    write_sidecar("out/1.png", dataclasses.replace(job, is_fast=True, module=module), MADE, "")
    with pytest.raises(RunError, match="if you trust who made it, repeat it: --module pair"):
        job_like("out/1.png")
