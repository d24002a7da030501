import json
import zipfile

import pytest

from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.scratch import scratch_database

TERMS = "http://rs.tdwg.org/dwc/terms/"
CORE = ["gbifID", "kingdom", "phylum", "class", "order", "family", "genus", "species", "scientificName", "taxonRank", "taxonomicStatus"]
CORE += ["decimalLatitude", "decimalLongitude", "countryCode", "eventDate", "datasetKey"]
MEDIA = ["gbifID", "type", "format", "identifier", "creator", "license", "rightsHolder"]
TAB = 'fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy=""'
COMMA = 'fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy="&quot;"'
MONARCH = {
    "kingdom": "Animalia",
    "phylum": "Arthropoda",
    "class": "Insecta",
    "order": "Lepidoptera",
    "family": "Nymphalidae",
    "genus": "Danaus",
    "species": "Danaus plexippus",
}


def described(tag, kind, location, terms, written=TAB, header_lines=1, more=""):
    """A core or an extension of a meta.xml; its first column is the id."""
    key = {"core": "id", "extension": "coreid"}[tag]
    fields = "".join(f'<field index="{index}" term="{TERMS}{term}"/>' for index, term in enumerate(terms))
    head = f'<{tag} encoding="UTF-8" {written} ignoreHeaderLines="{header_lines}" rowType="http://rs.gbif.org/terms/1.0/{kind}">'
    return f'{head}<files><location>{location}</location></files><{key} index="0"/>{fields}{more}</{tag}>'


def table(columns, rows, delimiter="\t"):
    """Rows are dicts; what they lack is empty."""
    return "\n".join(delimiter.join(row) for row in (columns, *([str(row.get(name, "")) for name in columns] for row in rows))) + "\n"


@pytest.fixture
def write_dwca(tmp_path):
    """A function that writes download.zip as GBIF does, from rows of occurrences and of photos, and gives its path."""

    def write(occurrences, media, name="download.zip", core=CORE):
        path = tmp_path / name
        meta = described("core", "Occurrence", "occurrence.txt", core) + described("extension", "Multimedia", "multimedia.txt", MEDIA)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("meta.xml", f'<archive xmlns="http://rs.tdwg.org/dwc/text/">{meta}</archive>')
            archive.writestr("occurrence.txt", table(core, occurrences))
            archive.writestr("multimedia.txt", table(MEDIA, media))
        return path

    return write


@pytest.fixture
def monarch():
    """A clean lineage, as the columns of a table."""
    return dict(MONARCH)


@pytest.fixture
def dwca_parts():
    """(described, table, TAB, COMMA) for archives of other shapes."""
    return described, table, TAB, COMMA


@pytest.fixture
def written(tmp_path):
    """A function of a name and its content, a text or what JSON is made of: writes it and gives its path."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def read_import(tmp_path):
    """A function of a source: (kind, [(url, label, box, problem)], photos)."""

    def read(path):
        with scratch_database(tmp_path / "scratch") as database:
            source = open_source(path, database)
            with source.archive:
                photos = list(source.photos)
        return source.kind, [(photo.url, photo.taxon.species or photo.taxon.name, photo.box, photo.problem) for photo in photos], photos

    return read
