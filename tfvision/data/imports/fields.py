"""What a source's columns are called, and how a row of them becomes a photo with its observation and its taxon."""

from collections.abc import Iterable, Mapping, Sequence

from tfvision.data.csv_table import plain_column
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_records import Photo
from tfvision.data.imports.photo_rows import is_web_address, local_name
from tfvision.data.manifest import RANKS

INATURALIST_RESEARCH_GRADE = "50c9509d-22c7-4a22-a47d-8c48425ef4a7"  # GBIF's key of the data set that the paper used
PHOTO_ADDRESSES = (
    "imageurl",
    "photourl",
    "accessuri",
    "bestqualityaccessuri",
    "goodqualityaccessuri",
    "mediaurl",
    "fileurl",
    "associatedmedia",
)  # others may be those of a page

# What a value is called; the first that is filled in a row counts. Compared as csv_table.plain_column writes names.
PHOTO = {
    "url": " ".join(PHOTO_ADDRESSES[:-1]) + " url identifier link downloadurl associatedmedia image filename filepath imagepath photopath file path",
    "format": "format mimetype",
    "type": "type mediatype",
    "license": "license licence licensecode photolicense usageterms webstatement rights",
    "rights_holder": "rightsholder owner author copyrightholder",
    "creator": "creator photographer recordedby username observer",
    "login": "userlogin login",
    "photo": "photoid mediaid imageid",
}
OBSERVATION = {
    "observation": "observationid observationuuid gbifid occurrenceid group sequenceid seqid catalognumber id",
    "latitude": "decimallatitude latitude lat",
    "longitude": "decimallongitude longitude lon lng long",
    "location": "location",
    "country": "countrycode country placecountryname",
    "date": "eventdate observedon date dateobserved timeobservedat",
    "year": "year",
    "month": "month",
    "day": "day",
    "grade": "qualitygrade identificationverificationstatus",
    "dataset": "datasetkey",
    "dataset_name": "datasetname",
}
TAXON = {
    **{rank: f"{rank} taxon{rank}name taxon{rank}" for rank in RANKS[:5]},
    "genus": "genus taxongenusname taxongenus",
    "species": "species speciesname taxonspeciesname",
    "name": "scientificname taxonname taxon name",
    "rank": "taxonrank rank taxonrankname",
    "accepted": "acceptedscientificname acceptednameusage acceptedname",
    "status": "taxonomicstatus",
    "epithet": "specificepithet epithet",
}
OF_OBSERVATION = {**OBSERVATION, **TAXON}

Facts = tuple[str, tuple[str, ...], RawTaxon]  # observation, (latitude, longitude, country, date, grade), taxon


class Fields:
    """The columns of a table by what they mean.

    Attributes:
      columns: the names of those that are used, once each.
      columns_of: field -> its columns, the likeliest first.
    """

    def __init__(self, names: Iterable[str], aliases: Mapping[str, str]) -> None:
        known: dict[str, str] = {}
        for name in names:
            known.setdefault(plain_column(name), name)
        self.columns_of = {field: tuple(known[alias] for alias in called.split() if alias in known) for field, called in aliases.items()}
        self.columns = tuple(dict.fromkeys(column for columns in self.columns_of.values() for column in columns))
        places = [tuple(map(self.columns.index, columns)) for columns in self.columns_of.values()]
        self._places, self._addresses = places, dict(zip(aliases, places, strict=True)).get("url", ())

    def values(self, row: Sequence[str]) -> list[str]:
        """The value of each field in a row of `columns`; `url`, if it is one of them, is the first field."""
        values = [row[places[0]] if len(places) == 1 else next((row[place] for place in places if row[place].strip()), "") for places in self._places]
        if len(self._addresses) > 1:
            texts = (row[place] for place in self._addresses)
            values[0] = next((text for text in texts if is_web_address(text) or local_name(text)), values[0])
        return values


def fields_of_rows_with_photos(names: Sequence[str]) -> Fields:
    """Fields of a table whose rows are observations or photos: a column `url` may be that of a page where another is a photo's."""
    addresses = [name for name in PHOTO_ADDRESSES if name in set(map(plain_column, names))]
    return Fields(names, {**PHOTO, **({"url": " ".join(addresses)} if addresses else {}), **OF_OBSERVATION})


def ranks_of(names: Sequence[str]) -> tuple[str, ...]:
    """The ranks that a table has columns for."""
    columns = Fields(names, TAXON).columns_of
    return tuple(rank for rank in RANKS if columns.get(rank))


def facts_of(values: Sequence[str], key: str = "") -> Facts:
    """The facts of a row by its values of OF_OBSERVATION; `key` tells the observation, where it is not empty."""
    observation, latitude, longitude, location, country, date, year, month, day, grade, dataset, dataset_name, *taxon = values
    if location and not latitude:
        latitude, _, longitude = location.strip("() ").partition(",")
    if year and not date[:4].isdecimal():
        date = "-".join(part.zfill(2) for part in (year, month, day) if part)
    if not grade and (dataset == INATURALIST_RESEARCH_GRADE or "research-grade" in dataset_name):
        grade = "research"
    return key or observation, (latitude, longitude, country, date, grade), RawTaxon(*taxon)


def photo_of(values: Sequence[str], facts: Facts) -> Photo:
    """A photo by its values of PHOTO and the facts of its observation."""
    url, format, type, license, rights_holder, creator, login, photo = values
    observation, (latitude, longitude, country, date, grade), taxon = facts
    return Photo(url, taxon, format or type, observation, photo, license, rights_holder, creator or login, latitude, longitude, country, date, grade)
