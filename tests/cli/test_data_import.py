"""`tfvision data import`."""

import json

import pytest
from PIL import Image

TABLE = """\
url,kingdom,phylum,class,order,family,genus,species,group,license,country,date
http://x.org/1.jpg,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus major,a,CC0,NZ,2020-01-01
http://x.org/2.jpg,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus major,a,CC-BY-NC,NZ,2020-01-01
http://x.org/3.jpg,Animalia,Arthropoda,Insecta,Lepidoptera,Nymphalidae,Danaus,Danaus plexippus,b,CC0,US,2021-01-01
http://x.org/4.jpg,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus sp.,c,CC0,NZ,2020-01-01
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "finds.csv"
    path.write_text(TABLE)
    return path


def test_the_summary_tells_what_was_dropped_and_what_comes_next(run_command, table, tmp_path):
    out = tmp_path / "out"
    code, text, _ = run_command("data", "import", table, out, "--no-download")
    assert code == 0
    assert "kept      3 of 4 photos, 2 observations, 2 species" in text and f"source    {table}  (csv)" in text
    assert "dropped   1: the species is no binomial, such as Parus sp." in text
    assert f"list      {out}/photos.csv" in text and "--photos FOLDER" in text


def test_how_long_the_photos_take_is_told_without_asking_for_them(run_command, table, tmp_path):
    pace = ("--connections-per-host", "2", "--requests-per-second", "0.01")
    code, _, err = run_command("data", "import", table, tmp_path / "out", "--no-download", *pace)
    assert code == 0 and err.startswith("3 photos at x.org: at least 5 min at 0.01 a second and host")
    assert "more than 3 min, as 2 are asked for at once" in err
    code, _, err = run_command("data", "import", table, tmp_path / "out", "--connections-per-host", "0")
    assert code == 2 and "0 is not in the range 1<=x<=64" in err


def test_filters_and_a_folder_of_photos(run_command, table, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in "123":
        Image.new("RGB", (40, 40), (50 * int(name), 9, 9)).save(tmp_path / "mine" / f"{name}.jpg")
    arguments = ("data", "import", table, tmp_path / "out", "--photos", tmp_path / "mine", "--json")
    code, text, _ = run_command(*arguments, "--licence", "CC0", "--within", "Aves", "--within", "Insecta")
    report = json.loads(text)
    assert code == 0 and report["out"] == str(tmp_path / "out")
    assert report["kept"] == {"photos": 2, "observations": 2, "species": 2} and report["photos"] == {"done": 2, "failed": 0, "reasons": {}}
    assert report["dropped"] == {"licence CC-BY-NC": 1, "the species is no binomial": 1}
    for options, kept in (
        (["--country", "us"], 1),
        (["--from", "2020", "--to", "2020-06"], 2),
        (["--max-per-species", "1"], 2),
        (["--min-per-species", "2"], 2),
        (["--within", "Parus", "--license", "CC BY-NC 4.0"], 1),
    ):
        code, text, _ = run_command(*arguments, *options)
        assert code == 0 and json.loads(text)["kept"]["photos"] == kept, options
    code, text, _ = run_command(*arguments[:-1])
    assert code == 0 and f"photos    3 in {tmp_path / 'out'}" in text and f"next      tfvision data check {tmp_path / 'out'}" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--licence", "free"], "--licence must be of CC0, CC-BY"),
        (["--within", "Avess"], "did you mean 'Aves'?"),
        (["--from", "yesterday"], "--from is YYYY, YYYY-MM or YYYY-MM-DD, got 'yesterday'"),
        (["--research-grade"], "none of the 4 photos"),
        (["--photos", "nowhere"], "nowhere is no folder"),
    ],
)
def test_mistakes_end_in_one_clear_line(run_command, table, tmp_path, options, message):
    code, text, err = run_command("data", "import", table, tmp_path / "out", "--no-download", *options)
    assert (code, text) == (1, "") and message in err and len(err.strip().splitlines()) == 1


def test_missing_ranks_are_told(run_command, table, tmp_path):
    table.write_text(TABLE.replace("Aves,", ","))
    code, text, _ = run_command("data", "import", table, tmp_path / "out", "--no-download")
    assert code == 0 and "dropped   2: no class, such as Parus major" in text and "hint      --keep-gaps" in text and "ranks " not in text
    code, text, _ = run_command("data", "import", table, tmp_path / "out", "--no-download", "--keep-gaps")
    assert code == 0 and "kept      3 of 4" in text and "hint" not in text
    table.write_text("url,species\nhttp://x.org/1.jpg,Parus major\n")
    code, text, _ = run_command("data", "import", table, tmp_path / "out", "--no-download")
    assert code == 0 and "ranks     genus, species only" in text


def test_what_is_no_source_is_told(run_command, tmp_path):
    code, _, err = run_command("data", "import", tmp_path / "nowhere.zip", tmp_path / "out")
    assert code == 1 and "nowhere.zip does not exist" in err
    (tmp_path / "a.txt").write_text("This is a text.")
    code, _, err = run_command("data", "import", tmp_path / "a.txt", tmp_path / "out")
    assert code == 1 and "What can be imported: a Darwin Core archive" in err and len(err.strip().splitlines()) == 1


def test_help_has_examples(run_command):
    text = run_command("data", "import", "--help")[1]
    assert "tfvision data import 0001234-240101.zip my-birds --within Aves" in text
