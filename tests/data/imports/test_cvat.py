"""CVAT's exports for images 1.1."""

import pytest

from tfvision.errors import DataError

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><task><name>traps</name></task></meta>\n'
IMAGES = """\
  <image id="0" name="day 1/a.jpg" subset="Train" task_id="1" width="640" height="480">
    <box label="Vulpes vulpes" source="manual" occluded="0" xtl="10.50" ytl="20.00" xbr="110.50" ybr="100.00" z_order="0">
      <attribute name="sex">f</attribute>
    </box>
    <box label="Meles meles" source="manual" occluded="1" xtl="600.00" ytl="400.00" xbr="650.00" ybr="480.00" z_order="0"></box>
    <polygon label="Meles meles" source="manual" occluded="0" points="1.00,2.00;3.00,4.00;5.00,2.00" z_order="0"></polygon>
  </image>
  <image id="1" name="b.jpg" width="640" height="480"><tag label="empty" source="manual"></tag></image>
  <image id="2" name="c.jpg" width="640" height="480"></image>
  <image id="3" name="d.jpg" width="640" height="480">
    <box label="Meles meles" xtl="100" ytl="100" xbr="140" ybr="120" rotation="90.0"/><box label="Meles meles" xtl="700" ytl="0" xbr="710" ybr="9"/>
    <box label="Meles meles" xtl="x" ytl="0" xbr="710" ybr="9"/><box label="Meles meles" xtl="9" ytl="0" xbr="3" ybr="9" rotation="inf"/>
  </image>
</annotations>
"""


def test_boxes_and_tags_are_rows(read_import, written):
    kind, rows, photos = read_import(written("annotations.xml", HEAD + IMAGES))
    assert kind == "cvat" and rows == [
        ("day 1/a.jpg", "Vulpes vulpes", "10.5,20,100,80", ""),
        ("day 1/a.jpg", "Meles meles", "600,400,40,80", ""),
        ("day 1/a.jpg", "", "", "a shape that is no rectangle (polygon)"),
        ("b.jpg", "empty", "", ""),
        ("c.jpg", "", "", "nothing is marked in it"),
        ("d.jpg", "Meles meles", "110,90,20,40", ""),
        ("d.jpg", "Meles meles", "700,0,10,9", "a box that lies outside its photo"),
        ("d.jpg", "Meles meles", "", "a box that is none: its numbers are no place with a width and a height"),
    ]
    assert [photo.split for photo in photos[:4]] == ["Train", "Train", "Train", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + '<track id="0" label="a"><box frame="0" xtl="0" ytl="0" xbr="9" ybr="9"/></track></annotations>',
            "for videos, .* export it as 'CVAT for images 1.1'",
        ),
        (HEAD + IMAGES[:300], "annotations.xml cannot be read as XML"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + (HEAD + IMAGES).partition("\n")[2], "annotations.xml is refused"),
        (HEAD + "<image>" + "<a>" * 100, "nested deeper"),
        ("<html/>", "it is XML, but no SimpleDarwinRecordSet"),
    ],
)
def test_what_is_none_or_hostile_is_told(read_import, written, text, message):
    with pytest.raises(DataError, match=message):
        read_import(written("annotations.xml", text))
