"""Rows a second of `tfvision data import` on a synthetic Darwin Core archive as GBIF writes it, and its memory.

    python benchmarks/import_rows.py [--rows 1200000] [--folder FOLDER]

The archive has occurrence.txt and multimedia.txt with --rows rows each (50 columns, of which half are empty, and 15) and 20,000
species; it is written to a temporary folder (in FOLDER, where space matters) and removed. Each reader is a process of its own;
memory is the most that it held (its peak resident set, with Python and all modules). A row is one of either member; CPU
seconds stand beside, because a busy machine lengthens the others.

- tfvision: the whole import without downloads: reading, joining, cleaning, filters, photos.csv.
- csv module: the limit. It parses the two members, and does nothing with the rows.
- python-dwca-reader: reads the core with its extensions row by row, where it is installed; it cleans and writes nothing.
"""

import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import click

SPECIES = 20_000
_TERMS = "http://rs.tdwg.org/dwc/terms/"
_CORE = (
    [
        "gbifID",
        "license",
        "rightsHolder",
        "occurrenceID",
        "basisOfRecord",
        "recordedBy",
        "eventDate",
        "countryCode",
        "decimalLatitude",
        "decimalLongitude",
        "datasetKey",
    ]
    + [
        "kingdom",
        "phylum",
        "class",
        "order",
        "family",
        "genus",
        "species",
        "specificEpithet",
        "scientificName",
        "taxonRank",
        "taxonomicStatus",
        "acceptedScientificName",
    ]
    + [f"empty{number}" for number in range(27)]
)
_MEDIA = [
    "gbifID",
    "type",
    "format",
    "identifier",
    "references",
    "title",
    "description",
    "created",
    "creator",
    "contributor",
    "publisher",
    "audience",
    "source",
    "license",
    "rightsHolder",
]


@click.command()
@click.option("--rows", type=click.IntRange(1000), default=1_200_000, show_default=True)
@click.option("--folder", help="Where the temporary folder is made.")
@click.option("--as", "way", hidden=True)
@click.option("--archive", hidden=True)
def main(rows, folder, way, archive):
    """Prints a line a reader."""
    if way:
        return _report(way, archive)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        archive = Path(place) / "download.zip"
        write_archive(archive, rows)
        with zipfile.ZipFile(archive) as opened:
            megabytes = sum(member.file_size for member in opened.infolist()) / 1e6
        print(f"{rows:,} occurrences with a photo each, {archive.stat().st_size / 1e6:,.0f} MB zipped, {megabytes:,.0f} MB of text")
        print(f"{'reader':<20} {'seconds':>8} {'CPU s':>8} {'rows/s':>10} {'peak MB':>8}")
        for name in ("csv module", "tfvision", "python-dwca-reader"):
            if name == "python-dwca-reader" and not importlib.util.find_spec("dwca"):
                print(f"{name:<20} not installed")
                continue
            done = subprocess.run([sys.executable, __file__, "--as", name, "--archive", str(archive)], capture_output=True, text=True, check=True)
            taken = json.loads(done.stdout)
            print(f"{name:<20} {taken['seconds']:>8.1f} {taken['cpu']:>8.1f} {2 * rows / taken['seconds']:>10,.0f} {taken['peak_mb']:>8.0f}", flush=True)


def write_archive(path, rows):
    """A zip with meta.xml, occurrence.txt and multimedia.txt."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("meta.xml", _meta())
        for member, columns, row in (("occurrence.txt", _CORE, _core_row), ("multimedia.txt", _MEDIA, _media_row)):
            with archive.open(member, "w", force_zip64=True) as file:
                file.write(("\t".join(columns) + "\n").encode())
                for start in range(0, rows, 10_000):
                    file.write("".join("\t".join(row(number)) + "\n" for number in range(start, min(rows, start + 10_000))).encode())


def _meta():
    def file(tag, key, member, columns, kind):
        fields = "".join(f'<field index="{index}" term="{_TERMS}{name}"/>' for index, name in enumerate(columns))
        written = 'encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"'
        return f'<{tag} {written} rowType="{kind}"><files><location>{member}</location></files><{key} index="0"/>{fields}</{tag}>'

    core = file("core", "id", "occurrence.txt", _CORE, _TERMS + "Occurrence")
    media = file("extension", "coreid", "multimedia.txt", _MEDIA, "http://rs.gbif.org/terms/1.0/Multimedia")
    return f'<archive xmlns="http://rs.tdwg.org/dwc/text/">{core}{media}</archive>'


def _core_row(number):
    species = number * 7919 % SPECIES
    letters = "".join(chr(97 + species // 26**place % 26) for place in range(4))
    genus, family = f"Genus{letters[1:]}", f"Family{letters[2:]}idae"
    name = f"{genus} {letters}us"
    facts = [
        str(2_000_000_000 + number),
        "CC_BY_NC_4_0",
        f"observer {number % 5000}",
        f"https://www.inaturalist.org/observations/{number}",
        "HUMAN_OBSERVATION",
    ]
    facts += [
        f"observer {number % 5000}",
        f"20{number % 24:02d}-0{number % 9 + 1}-1{number % 9}T12:00:00",
        "NZ",
        f"-{number % 90}.12345",
        f"{number % 180}.54321",
    ]
    facts += ["50c9509d-22c7-4a22-a47d-8c48425ef4a7", "Animalia", "Arthropoda", "Insecta", f"Order{letters[3]}", family, genus, name]
    facts += [f"{letters}us", f"{name} Author, 1800", "SPECIES", "ACCEPTED", f"{name} Author, 1800"]
    return facts + [""] * (len(_CORE) - len(facts))


def _media_row(number):
    url = f"https://inaturalist-open-data.s3.amazonaws.com/photos/{number}/original.jpeg"
    facts = [str(2_000_000_000 + number), "StillImage", "image/jpeg", url, f"https://www.inaturalist.org/photos/{number}", "", "", "2020-01-01T00:00:00Z"]
    return [*facts, f"observer {number % 5000}", "", "iNaturalist", "", "", "http://creativecommons.org/licenses/by-nc/4.0/", f"observer {number % 5000}"]


def _report(way, archive):
    started = time.perf_counter()
    {"csv module": _parse, "tfvision": _import, "python-dwca-reader": _read_with_peer}[way](archive)
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}))


def _parse(archive):
    import csv
    import io

    with zipfile.ZipFile(archive) as opened:
        for member in ("occurrence.txt", "multimedia.txt"):
            with opened.open(member) as file:
                for _ in csv.reader(io.TextIOWrapper(file, "utf-8", newline=""), delimiter="\t", quoting=csv.QUOTE_NONE):
                    pass


def _import(archive):
    from tfvision.data.imports.importing import import_photos

    with tempfile.TemporaryDirectory(dir=Path(archive).parent) as out:
        import_photos(archive, out, is_downloaded=False)


def _read_with_peer(archive):
    from dwca.read import DwCAReader

    with DwCAReader(archive) as opened:
        for row in opened:
            for _ in row.extensions:
                pass


if __name__ == "__main__":
    main()
