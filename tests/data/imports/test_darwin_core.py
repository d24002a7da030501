import zipfile

import pytest

from tfvision.data.imports.archives import open_archive
from tfvision.data.imports.darwin_core import find_meta, read_meta, record_set
from tfvision.errors import DataError, DataWarning


def _folder(tmp_path, meta, **files):
    folder = tmp_path / "archive"
    folder.mkdir(exist_ok=True)
    (folder / "meta.xml").write_text(meta)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def _core_rows(folder, *names):
    with open_archive(folder) as archive:
        core = read_meta(archive, find_meta(archive)).core
        return list(core.table.rows(archive, names or core.table.names))


def _archive(*parts):
    return f'<?xml version="1.0"?><archive xmlns="http://rs.tdwg.org/dwc/text/">{"".join(parts)}</archive>'


def test_core_extensions_and_short_names(write_dwca, monarch):
    path = write_dwca([{"gbifID": 1, **monarch}], [{"gbifID": 1, "identifier": "http://x.org/1.jpg"}])
    with open_archive(path) as archive:
        described = read_meta(archive, find_meta(archive))
        assert (described.core.kind, described.core.key) == ("Occurrence", "gbifID")
        (media,) = described.media
        assert media.table.members == ("multimedia.txt",) and media.key == "gbifID" and described.occurrences is described.core
        assert list(described.core.table.rows(archive, ("gbifID", "species", "sex"))) == [("1", "Danaus plexippus", "")]
        assert list(media.table.rows(archive, ("gbifID", "identifier"))) == [("1", "http://x.org/1.jpg")]


def test_quotes_delimiters_encodings_defaults_and_header_lines(tmp_path):
    meta = _archive(
        '<core encoding="ISO-8859-1" fieldsTerminatedBy=";" linesTerminatedBy="\\r\\n" fieldsEnclosedBy="\'" ignoreHeaderLines="2" rowType="http://x/Occurrence">'
        '<files><location>a.csv</location><location>b.csv</location></files><id index="1"/>'
        '<field index="0" term="http://rs.tdwg.org/dwc/terms/locality"/><field index="2" term="http://x#sex" default="unknown"/>'
        '<field term="http://x/country" default="NZ"/></core>'
    )
    data = "one\r\ntwo\r\n'a;b\r\nc'';';7;female;more\r\n\r\nMälar;8\r\n".encode("latin-1")
    folder = _folder(tmp_path, meta, a_csv=data, b_csv=data)
    rows = _core_rows(folder, "core id", "locality", "sex", "country")
    assert rows[:2] == [("7", "a;b\r\nc';", "female", "NZ"), ("8", "Mälar", "unknown", "NZ")] and rows[2:] == rows[:2]


def test_what_the_standard_says_where_meta_xml_says_nothing(tmp_path):
    meta = _archive('<core rowType="Occurrence"><files><location>a.csv</location></files><field index="0" term="genus"/><field index="1" term="sex"/></core>')
    assert _core_rows(_folder(tmp_path, meta, a_csv='\ufeffDanaus,"a, ""b"""\nVanessa,\n')) == [("Danaus", 'a, "b"'), ("Vanessa", "")]


def test_stray_quotes_and_carriage_returns_in_unquoted_text_swallow_nothing(tmp_path, dwca_parts):
    described, _, tab, _ = dwca_parts
    data = 'id\tlocality\n1\t"Anegado, Bajo\n2\tone\rtwo\n3\tplain\r\n'
    folder = _folder(tmp_path, _archive(described("core", "Occurrence", "a.txt", ["id", "locality"], tab)), a_txt=data)
    assert _core_rows(folder) == [("1", '"Anegado, Bajo'), ("2", "one\rtwo"), ("3", "plain")]


def test_bytes_that_are_no_utf_8_are_read_as_windows_does_and_told(tmp_path, dwca_parts):
    described, *_ = dwca_parts
    folder = _folder(tmp_path, _archive(described("core", "Occurrence", "a.txt", ["id", "genus"])), a_txt=b"id\tgenus\n1\tDan\xe4us\n2\tM\xc3\xa4lar\n")
    with pytest.warns(DataWarning, match="'a.txt' of .*, line 2 is not in UTF-8: its bytes are read as Windows' .cp1252.$"):
        assert _core_rows(folder) == [("1", "Danäus"), ("2", "Mälar")]


def test_two_vocabularies_with_one_short_name(tmp_path):
    fields = '<field index="0" term="http://purl.org/dc/terms/type"/><field index="1" term="http://purl.org/dc/elements/1.1/type"/>'
    meta = _archive(f"<core><files><location>a.csv</location></files>{fields}</core>")
    assert _core_rows(_folder(tmp_path, meta, a_csv="StillImage,other\n"), "type") == [("StillImage",)]


@pytest.mark.parametrize(
    "location", ["../secret.txt", "/etc/passwd", "..\\secret.txt", "C:\\secret.txt", "file:///etc/passwd", "http://x.org/a.txt", "a/../../secret.txt"]
)
def test_locations_outside_the_archive_are_refused(tmp_path, dwca_parts, location):
    described, *_ = dwca_parts
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(DataError, match="names a file outside the archive"):
        _core_rows(_folder(tmp_path, _archive(described("core", "Occurrence", location, ["id"]))))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("meta.xml", _archive(described("core", "Occurrence", location, ["id"])))
    with pytest.raises(DataError, match="names a file outside the archive"):
        _core_rows(tmp_path / "a.zip")


@pytest.mark.parametrize(
    "start",
    [
        '<!DOCTYPE archive [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE archive [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE archive SYSTEM "http://x.org/evil.dtd">',
        '<!DOCTYPE archive [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
)
def test_document_types_and_entities_are_refused(tmp_path, start):
    with pytest.raises(DataError, match="declares a document type or entities"):
        _core_rows(_folder(tmp_path, f"{start}<archive><core><files><location>&secret;</location></files></core></archive>"))


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ("This is a text.", "cannot be read as XML"),
        ("<archive><core></archive>", "cannot be read as XML"),
        ("<archive/>", "describes 0 cores"),
        ("<archive><core/></archive>", "gives no location"),
        ("<archive><core><files><location>b.csv</location></files></core></archive>", "names 'b.csv', which the archive does not have"),
        ('<archive><core fieldsTerminatedBy="||"><files><location>a.csv</location></files></core></archive>', "parts fields by"),
        ('<archive><core linesTerminatedBy="|"><files><location>a.csv</location></files></core></archive>', "ends lines by"),
        ('<archive><core><files><location>a.csv</location></files><id index="-1"/></core></archive>', "is none: '-1'"),
        ('<archive><core><files><location>a.csv</location></files><field index="99999999" term="x"/></core></archive>', "is none: '99999999'"),
        ('<archive><core encoding="zip"><files><location>a.csv</location></files><field index="0" term="x"/></core></archive>', "encoding 'zip'"),
        ('<archive><core encoding="base64"><files><location>a.csv</location></files><field index="0" term="x"/></core></archive>', "encoding 'base64'"),
        ("<archive>" + "<a>" * 100 + "</a>" * 100 + "</archive>", "nested deeper"),
    ],
)
def test_a_meta_xml_that_is_wrong_is_told(tmp_path, meta, reason):
    with pytest.raises(DataError, match=reason) as caught:
        _core_rows(_folder(tmp_path, meta, a_csv="1\n"))
    assert "\n" not in str(caught.value)


def test_an_endless_line_and_an_endless_element_are_refused(tmp_path, dwca_parts, monkeypatch):
    described, _, _, comma = dwca_parts
    monkeypatch.setattr("tfvision.data.csv_table.MAX_LINE_CHARACTERS", 1000)
    with pytest.raises(DataError, match="a line of more than"):
        _core_rows(_folder(tmp_path, _archive(described("core", "Occurrence", "a.csv", ["id"], "")), a_csv="id\n" + "x" * 2000))
    with pytest.warns(DataWarning, match="line 2 opens a quote that is never closed"):
        rows = _core_rows(_folder(tmp_path, _archive(described("core", "Occurrence", "a.csv", ["id"], comma)), a_csv='id\n"' + "x\n" * 2000))
    assert rows == [("x",)] * 2000
    monkeypatch.setattr("tfvision.data.imports.safe_xml._MAX_ELEMENT_CHARACTERS", 1000)
    with pytest.raises(DataError, match="one record has more than"):
        _core_rows(_folder(tmp_path, _archive(f"<core>{'<a>x</a>' * 2000}</core>")))


def test_record_sets(tmp_path):
    record = "<dwc:genus>Danaus</dwc:genus><eol:dataObject><ac:accessURI>http://x.org/1.jpg</ac:accessURI></eol:dataObject>"
    spaces = 'xmlns:dwr="http://a" xmlns:dwc="http://b/terms/" xmlns:eol="http://c" xmlns:ac="http://d/terms/"'
    path = tmp_path / "a.dwc"
    path.write_text(f"<dwr:SimpleDarwinRecordSet {spaces}>{f'<dwr:SimpleDarwinRecord>{record}</dwr:SimpleDarwinRecord>' * 3}</dwr:SimpleDarwinRecordSet>")
    with open_archive(path) as archive:
        assert list(record_set(archive, "a.dwc")) == [({"genus": "Danaus"}, [{"accessURI": "http://x.org/1.jpg"}])] * 3


def test_gbifs_own_archives(shared):
    with open_archive(shared / "data/dwca/gbif_0000154-150116162929234.zip") as archive:
        described = read_meta(archive, find_meta(archive))
        assert (described.core.kind, [file.kind for file in described.extensions]) == ("Occurrence", ["Multimedia", "Occurrence"])
        rows = list(described.core.table.rows(archive, ("gbifID", "species", "locality")))
        with zipfile.ZipFile(archive.path) as opened:
            lines = opened.read("occurrence.txt").decode().splitlines()
        names = lines[0].split("\t")
        fields = [line.split("\t") for line in lines[1:]]
        assert rows == [tuple(row[names.index(name)] for name in ("gbifID", "species", "locality")) for row in fields] and len(rows) == 443
    with open_archive(shared / "data/dwca/gbif-results_pydwca.zip") as archive:
        described = read_meta(archive, find_meta(archive))
        assert described.media == () and described.core.key == "occurrenceID"
        assert next(described.core.table.rows(archive, ("occurrenceID", "genus"))) == ("607759330", "Tetraodon")
