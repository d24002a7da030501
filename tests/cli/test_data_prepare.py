import json

import pytest

from tfvision.data.shards.prepared_index import PreparedIndex
from tfvision.data.shards.verification import verify_prepared

pytestmark = pytest.mark.usefixtures("opened_once")


def test_prepare_says_what_it_wrote_and_what_is_next(run_command, colour_jpegs, tmp_path):
    out = tmp_path / "out"
    code, stdout, _ = run_command("data", "prepare", colour_jpegs, out, "--shards", 2, "--size", 32, "--quality", 80, "--workers", 1, "--seed", 3)
    assert code == 0
    megabytes = sum(path.stat().st_size for path in out.glob("*.tfrecord")) / 1e6
    assert stdout == f"48 photos of 4 classes in 2 shards, {megabytes:.1f} MB, in {out}\nnext: tfvision train species {out}\n"
    settings = PreparedIndex.open(out).settings
    assert (settings["size_px"], settings["quality"], settings["seed"]) == (32, 80, 3)
    assert verify_prepared(out).is_sound


def test_photos_that_cannot_be_read_are_told_in_one_line(run_command, tmp_path):
    for name in ("reds", "blues"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "broken.jpg").write_text("no image")
    run = ("data", "prepare", tmp_path / "photos", tmp_path / "out", "--json")
    code, stdout, stderr = run_command(*run)
    assert (code, stdout) == (1, "") and stderr.startswith("error: none of the 2 photos can be read: blues/broken.jpg is no image that can be read")


def test_resume_goes_on_and_a_second_run_without_it_is_refused_in_one_line(run_command, colour_jpegs, tmp_path):
    run = ("data", "prepare", colour_jpegs, tmp_path / "out", "--json")
    code, stdout, _ = run_command(*run)
    result = json.loads(stdout)
    assert (code, result["images"], result["failed"], result["broken"], result["classes"], result["shards"]) == (0, 48, 0, [], 4, 1)
    code, stdout, stderr = run_command(*run)
    assert (code, stdout, stderr) == (1, "", f"error: {tmp_path / 'out'} is there already: choose another folder, or remove it\n")
    code, stdout, _ = run_command(*run, "--resume")
    assert code == 0 and json.loads(stdout)["images"] == 48


@pytest.mark.parametrize(
    "options,told", [(["--runner-option", "a=1"], "--runner-option is for --runner"), (["--quality", "96"], "1<=x<=95"), (["--size", "0"], "x>=1")]
)
def test_wrong_usage_exits_with_2(run_command, colour_jpegs, tmp_path, options, told):
    code, _, stderr = run_command("data", "prepare", colour_jpegs, tmp_path / "out", *options)
    assert code == 2 and told in stderr


def test_broken_photos_are_named_one_a_line(run_command, colour_jpegs, tmp_path):
    for name in ("reds", "blues"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes(next((colour_jpegs / "photos").iterdir()).read_bytes())
    (tmp_path / "photos" / "reds" / "broken.jpg").write_text("no image")
    code, stdout, stderr = run_command("data", "prepare", tmp_path / "photos", tmp_path / "out")
    assert code == 0 and "left out: reds/broken.jpg is no image" in stderr
    assert f"1 could not be read, see {tmp_path / 'out'}/index.json" in stdout


@pytest.mark.slow
def test_a_gallery_of_prepared_data_is_searched_and_shown(run_command, prepared_colours, colour_jpegs, tmp_path):
    features = ("--model", "vgg19_slim", "--layer", "conv1_2", "--set", "weights=none", "--set", "image_size=32")
    for source, gallery in ((prepared_colours, tmp_path / "prepared"), (colour_jpegs, tmp_path / "folder")):
        code, stdout, stderr = run_command("index", "build", source, "--out", gallery, "--json", *features)
        assert code == 0 and (json.loads(stdout)["images"], json.loads(stdout)["failed"]) == (48, 0), stderr
    assert run_command("index", "info", tmp_path / "prepared", "--ids")[1] == run_command("index", "info", tmp_path / "folder", "--ids")[1]
    hits = {}
    for name in ("prepared", "folder"):
        query, page = colour_jpegs / "photos" / "Rosa_rubra_1.jpg", tmp_path / f"{name}.html"
        code, stdout, _ = run_command("search", tmp_path / name, query, "-k", "3", "--json", "--html", page)
        hits[name] = [{key: value for key, value in hit.items() if key != "image"} for hit in json.loads(stdout)["hits"]]
        assert code == 0 and page.read_text().count("data:image/jpeg") == 4
    assert hits["prepared"] == hits["folder"]
    best = hits["prepared"][0]
    assert best["id"] == "photos/Rosa_rubra_1.jpg" and best["license"].startswith("CC-BY") and "crc32" not in best
