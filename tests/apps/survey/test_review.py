import dataclasses

import pytest

from tfvision.apps.survey.job import review_survey
from tfvision.apps.survey.observations import Observation
from tfvision.apps.survey.review import REVIEWS, keep_written, written_of
from tfvision.apps.survey.tables import OBSERVATIONS, write_media, write_observations
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, DataWarning

LINEAGES = [("Reds", "Rosa", "Rosa rubra"), ("Reds", "Rosa", "Rosa pallida"), ("Blues", "Viola", "Viola prima")]


@pytest.fixture
def reviewed(survey, tmp_path):
    """A function ({event: a person's answer}, name=observations.csv) -> the table of the survey with these answers, beside its taxonomy."""
    (tmp_path / "state").mkdir()
    Taxonomy.from_lineages(("order", "genus", "species"), LINEAGES).save(tmp_path / "state/taxonomy.json")

    def write(answers, name=OBSERVATIONS):
        write_observations(tmp_path / name, survey.observations, {event: {"review": text} for event, text in answers.items()})
        return tmp_path / name

    return write


def by_depth(told):
    return {row["rank"]: (row["reviewed"], row["right"], row["too_deep"], row["open"]) for row in told["by_depth"]}


@pytest.mark.parametrize(
    "event, answer, rank, expected",
    [
        ("ridge/1.JPG", "Rosa_rubra L.", "species", (1, 1, 0, 0)),
        ("ridge/1.JPG", "Rosa pallida", "species", (1, 0, 0, 0)),
        ("ridge/1.JPG", "Rosa", "species", (1, 0, 1, 0)),  # the person does not say which
        ("ridge/1.JPG", "Rosa canina", "species", (1, 0, 0, 0)),  # of the genus, and another species
        ("ridge/1.JPG", "Meles meles", "species", (1, 0, 0, 1)),
        ("ridge/1.JPG", "nothing", "species", (1, 0, 0, 0)),
        ("ridge/1.JPG", "person", "species", (1, 0, 0, 0)),
        ("ridge/3..heic", "Person", "order", (1, 1, 0, 0)),
        ("ridge/3..heic", "Rosa rubra", "order", (1, 0, 0, 0)),
        ("ridge/5.JPG", "Rosa rubra", "order", (1, 1, 0, 0)),
        ("ridge/5.JPG", "Rosa canina", "order", (1, 1, 0, 0)),
        ("ridge/5.JPG", "Viola prima", "order", (1, 0, 0, 0)),
        ("ridge/4.JPG", "blank", "blank", (1, 1, 0, 0)),
        ("ridge/4.JPG", "Rosa rubra", "blank", (1, 0, 0, 0)),
        ("valley/1.NEF", "Rosa rubra", "nothing named", (1, 1, 0, 0)),
    ],
)
def test_an_answer_is_right_where_its_taxon_holds_the_persons(reviewed, event, answer, rank, expected):
    assert by_depth(review_survey(reviewed({event: answer}))) == {rank: expected}


def test_the_whole_is_told_with_its_interval(reviewed):
    told = review_survey(reviewed({"ridge/1.JPG": "Rosa rubra", "ridge/5.JPG": "Viola prima", "bank/1.JPG": "Rosa", "valley/1.NEF": "Viola"}))
    assert (told["reviewed"], told["right"], told["share"]) == (4, 1, 0.5)
    low, high = told["interval"]
    assert low == pytest.approx(0.0126, abs=1e-4) and high == pytest.approx(0.9874, abs=1e-4)  # of one in two: 1 - 0.975 ** 0.5


def test_a_persons_answers_are_never_overwritten(survey, reviewed, tmp_path, rows_of):
    path = reviewed({"ridge/1.JPG": "Rosa pallida"})
    text = path.read_text().splitlines()
    header = text[0] + ",count"
    rows = [line + (",3" if line.startswith("bank") else ",") for line in text[1:]]
    path.write_text("\r\n".join([header, *rows]))  # as a spreadsheet saves it, with a column of one's own
    for _ in range(2):
        write_observations(path, survey.observations, written_of(survey.observations, keep_written(tmp_path, path)))
    found = {row["event"]: (row["review"], row["count"]) for row in rows_of(path)}
    assert found["ridge/1.JPG"] == ("Rosa pallida", "") and found["bank/1.JPG"] == ("", "3")
    path.unlink()
    assert keep_written(tmp_path, path) == {"ridge/1.JPG": {"review": "Rosa pallida"}, "bank/1.JPG": {"count": "3"}}


def test_an_answer_goes_with_its_photo_where_events_change(survey):
    burst, person, dark = survey.observations[:3]
    together = dataclasses.replace(burst, media=(*burst.media, *person.media, *dark.media))
    written = {"ridge/1.JPG": {"review": "Rosa"}, "ridge/3..heic": {"review": "Homo"}, "ridge/4.JPG": {"review": "Rosa"}, "gone.JPG": {"review": "Viola"}}
    assert written_of([together], written) == {"ridge/1.JPG": {"review": "Rosa | Homo | Rosa"}}
    apart = [Observation(row.photo.name, (row,), "answered", "", row.answer) for row in burst.media]
    assert written_of(apart, written) == {"ridge/1.JPG": {"review": "Rosa"}}


def test_a_copy_that_came_back_is_kept_with_the_survey(reviewed, tmp_path, rows_of):
    reviewed({"bank/1.JPG": "Rosa"})
    copy = reviewed({"ridge/1.JPG": "Rosa rubra", "bank/1.JPG": "Rosa pallida"}, "from Ada.csv")
    review_survey(copy)
    assert {row["event"]: row["review"] for row in rows_of(tmp_path / REVIEWS)} == {"bank/1.JPG": "Rosa pallida", "ridge/1.JPG": "Rosa rubra"}


def test_a_table_of_another_survey_is_not_kept(survey, reviewed, tmp_path):
    reviewed({})
    write_media(tmp_path / "media.csv", survey.media, ())
    copy = reviewed({"ridge/1.JPG": "Rosa"}, "copy.csv")
    text = copy.read_text()
    copy.write_text(text.replace("ridge/1.JPG", "lake/1.JPG"))
    with pytest.raises(DataError, match="copy.csv is of another survey: .* has no event such as lake/1.JPG; name its own folder with --out"):
        review_survey(copy)
    assert not (tmp_path / REVIEWS).exists()
    copy.write_text(text + text.splitlines()[1].replace("ridge/1.JPG", "lake/1.JPG") + "\n")
    with pytest.warns(DataWarning, match="1 of its answers are to no event"):
        assert review_survey(reviewed({"ridge/1.JPG": "Rosa", "bank/1.JPG": "Rosa"}, "b.csv"))["reviewed"] == 2 and review_survey(copy)


@pytest.mark.parametrize("text, message", [("a,b\n1,2\n", "has no column `event`; its columns are a, b"), ("event,taxon\nx,y\n", "has no column `review`")])
def test_what_is_no_table_of_observations_is_refused_and_stays(tmp_path, text, message):
    (tmp_path / OBSERVATIONS).write_text(text)
    with pytest.raises(DataError, match=message):
        keep_written(tmp_path, tmp_path / OBSERVATIONS)
    with pytest.raises(DataError, match=message):
        review_survey(tmp_path / OBSERVATIONS)
    assert (tmp_path / OBSERVATIONS).read_text() == text


def test_a_table_without_answers_says_where_to_write_them(reviewed):
    with pytest.raises(DataError, match="has no answer of a person: write taxa, or blank, into its column `review`"):
        review_survey(reviewed({}))
