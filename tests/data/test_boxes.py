import csv

import pytest
from PIL import Image

from tfvision.data.boxes import are_fractions, box_in_photo, parse_box
from tfvision.data.manifest import read_source
from tfvision.errors import DataError


@pytest.fixture
def listed(tmp_path):
    """A function (box, ...) -> the manifest of photos of 200 x 100 pixels with these boxes."""
    Image.new("RGB", (200, 100)).save(tmp_path / "photo.png")

    def write(*boxes, image="photo.png"):
        with open(tmp_path / "manifest.csv", "w", newline="") as file:
            csv.writer(file).writerows([("image", "species", "box"), *((image, f"species {row}", box) for row, box in enumerate(boxes))])
        return tmp_path / "manifest.csv"

    return write


def boxes_of(path):
    return [record.box for record in read_source(path).records]


def test_boxes_that_lie_in_their_photos_stay_as_they_are(listed, capsys):
    boxes = ["0,0,200,100", "", "10,20,30.5,40", "199,99,1,2", "-1,-2,202,103"]  # the last is rounding
    assert boxes_of(listed(*boxes)) == [parse_box(box) for box in boxes]
    assert capsys.readouterr().err == ""


def test_fractions_are_understood_where_all_boxes_are_such_and_said(listed, capsys):
    path = listed("0.25,0.25,0.5,0.5", "", "[0, 0, 1, 1]")
    assert boxes_of(path) == [(50, 25, 100, 50), (0, 0, 0, 0), (0, 0, 200, 100)]
    assert capsys.readouterr().err == f"{path}: its 2 boxes are read as fractions of their photos' widths and heights\n"


def test_a_fraction_among_pixels_is_refused_by_line_as_is_a_box_outside(listed):
    with pytest.raises(DataError) as error:
        read_source(listed("10,10,30,30", "0.25,0.25,0.5,0.5", "5000,5000,300,300", "150,10,120,50"))
    told = str(error.value)
    assert "manifest.csv: 3 of 4 boxes cannot be used; line 3: the box 0.25,0.25,0.5,0.5 is less than a pixel of its photo of 200 x 100 pixels" in told
    assert "line 4: the box 5000,5000,300,300 lies outside its photo" in told
    assert "line 5: the box 150,10,120,50 lies for the most part outside" in told


def test_many_bad_boxes_are_counted_and_the_first_are_named(listed):
    with pytest.raises(DataError, match=r"8 of 8 boxes .* line 6: .*; and 3 more\. Correct or empty them$"):
        read_source(listed(*["5000,5000,300,300"] * 8))


def test_a_box_that_is_drawn_wide_is_cut_at_the_edge_as_ever(listed):
    assert boxes_of(listed("-20,-10,100,80", "150,50,60,60")) == [(-20, -10, 100, 80), (150, 50, 60, 60)]


@pytest.mark.parametrize(
    ("boxes", "reading"),
    [
        (["20,10,190,90", "50,30,100,60"], "left,top,right,bottom"),
        (["0.3,0.2,0.9,0.95", "0.1,0.1,0.5,0.5"], "left,top,right,bottom"),
        (["0.8,0.5,0.3,0.4", "0.3,0.5,0.2,0.4"], "centre x,centre y,width,height"),  # YOLO's
    ],
)
def test_other_readings_of_four_numbers_are_recognised_by_what_reaches_out_of_the_photo(listed, boxes, reading):
    with pytest.raises(DataError, match=f"1 of 2 boxes .* line 2: .* reaches out of .*; is it {reading}. A box is left,top,width,height"):
        read_source(listed(*boxes))


def test_the_photo_is_held_upright(tmp_path, listed):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "turned.jpg", exif=exif)
    assert boxes_of(listed("0,0,1,0.5", image="turned.jpg")) == [(0, 0, 100, 100)]


def test_the_box_of_a_photo_that_cannot_be_read_is_not_judged(tmp_path, listed):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert boxes_of(listed("5000,5000,300,300", image="broken.png")) == [(5000, 5000, 300, 300)]


def test_only_headers_are_read(tmp_path, listed):
    Image.new("RGB", (200, 100)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    assert boxes_of(listed("0.5,0.5,0.5,0.5", image="cut.jpg")) == [(100, 50, 100, 50)]


def test_the_box_of_a_command_is_placed_in_its_photo(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "photo.png")
    assert box_in_photo((0.1, 0.1, 0.5, 0.5), tmp_path / "photo.png") == (20, 10, 100, 50)
    assert box_in_photo((10, 10, 20, 20), tmp_path / "photo.png") == (10, 10, 20, 20)
    for box, reason in (((300, 10, 20, 20), "lies outside"), ((0.001, 0.5, 0.001, 0.5), "less than a pixel"), ((100, 50, 180, 90), "is it left,top,right")):
        with pytest.raises(DataError, match=f"photo.png: the box .* {reason}"):
            box_in_photo(box, tmp_path / "photo.png")


def test_a_box_of_one_pixel_is_no_fraction_of_a_table_in_pixels():
    assert are_fractions([(0, 0, 1, 1), (0, 0, 0, 0)]) and not are_fractions([(0, 0, 0, 0)]) and not are_fractions([(0, 0, 1, 2)])
