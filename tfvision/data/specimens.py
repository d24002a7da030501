"""The built-in teaching set: drawn animals with a real taxonomy, one species told from the next by texture.

The names are real, with their real parents; the drawings are symbols, not portraits. Body plan tells the
order, outline the family, colour and markings the genus, and only a texture of about 4 px, on average of one
colour and one brightness, the species. What is learnt here is of no use in the field.
"""

import functools
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfvision.data.csv_table import csv_text
from tfvision.data.names import KnownNames
from tfvision.data.specimen_drawing import paint
from tfvision.data.specimen_genera import GENERA
from tfvision.errors import DataError, RecipeError
from tfvision.files import TEMPORARY_PREFIX, parse_json, storage_errors, write_json, write_text

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
IMAGES_PER_SPECIES = (5, 100)  # the rarest and the most common species
SETTINGS_NAME = "specimens.json"
_VERSION = 2  # of the drawing: one more whenever the same seed gives other pixels

_ORDERS = {  # order -> its kingdom, phylum and class; where the head lies in the body's frame
    "Lepidoptera": (("Animalia", "Arthropoda", "Insecta"), "up"),
    "Coleoptera": (("Animalia", "Arthropoda", "Insecta"), "up"),
    "Araneae": (("Animalia", "Arthropoda", "Arachnida"), "up"),
    "Tetraodontiformes": (("Animalia", "Chordata", "Actinopterygii"), "right"),
}

_SPECIES = {  # order -> family -> genus -> epithet -> texture
    "Lepidoptera": {
        "Nymphalidae": {
            "Vanessa": {"atalanta": "across", "cardui": "along", "virginiensis": "spots"},
            "Aglais": {"io": "rings", "urticae": "checks"},
        },
        "Papilionidae": {
            "Papilio": {"machaon": "along", "demoleus": "checks", "polytes": "rings"},
            "Parnassius": {"apollo": "spots", "mnemosyne": "across"},
        },
    },
    "Coleoptera": {
        "Coccinellidae": {
            "Coccinella": {"septempunctata": "across", "transversalis": "along", "undecimpunctata": "grain"},
            "Adalia": {"bipunctata": "zigzag", "decempunctata": "spots"},
        },
        "Lucanidae": {
            "Lucanus": {"cervus": "along", "elaphus": "across", "capreolus": "checks"},
            "Dorcus": {"parallelipipedus": "grain", "titanus": "zigzag"},
        },
    },
    "Araneae": {
        "Araneidae": {
            "Araneus": {"diadematus": "spots", "marmoreus": "zigzag", "quadratus": "along"},
            "Argiope": {"bruennichi": "across", "lobata": "rings"},
        },
        "Salticidae": {
            "Phidippus": {"audax": "checks", "johnsoni": "across", "regius": "rings"},
            "Salticus": {"cingulatus": "along", "scenicus": "zigzag"},
        },
    },
    "Tetraodontiformes": {
        "Tetraodontidae": {
            "Arothron": {"hispidus": "spots", "meleagris": "grain", "nigropunctatus": "along"},
            "Canthigaster": {"solandri": "checks", "valentini": "across"},
        },
        "Balistidae": {
            "Balistes": {"capriscus": "rings", "vetula": "along"},
            "Rhinecanthus": {"aculeatus": "zigzag", "assasi": "across", "rectangulus": "spots"},
        },
    },
}

LINEAGES = {  # species -> its names at RANKS
    f"{genus} {epithet}": (*_ORDERS[order][0], order, family, genus, f"{genus} {epithet}")
    for order, families in _SPECIES.items()
    for family, genera in families.items()
    for genus, epithets in genera.items()
    for epithet in epithets
}


def draw_specimen(species: str, number: int, seed: int = 0) -> np.ndarray:
    """Draws photo `number` of a species: uint8 [256, 256, 3], RGB.

    The same arguments give the same pixels, in whatever order photos are drawn (within one version of
    NumPy and Pillow); any other number or seed gives another individual in another place.

    Args:
      species: a key of LINEAGES, e.g. "Vanessa atalanta".
      number: from 1 up.
      seed: int, at least 0.

    Raises:
      DataError: there is no such species; near misses are named.
    """
    texture = texture_of(species)
    order, genus = LINEAGES[species][3], LINEAGES[species][5]
    # The name, not its row in the table, so that a new species changes no other one's photos.
    rng = np.random.default_rng([seed, zlib.crc32(species.encode()), number])
    return paint(GENERA[genus](rng), texture, _ORDERS[order][1], rng)


def texture_of(species: str) -> str:
    """The texture that tells a species from its siblings, a key of `specimen_drawing.TEXTURES`.

    Raises:
      DataError: there is no such species; near misses are named.
    """
    if species not in LINEAGES:
        hint = KnownNames(LINEAGES).hint(species).removeprefix("; ") or f"one is {next(iter(LINEAGES))!r}"
        raise DataError(f"{species!r} is none of the {len(LINEAGES)} drawn species: {hint}")
    order, family, genus = LINEAGES[species][3:6]
    return _SPECIES[order][family][genus][species.split()[1]]


def class_sizes(seed: int = 0, images_per_species: tuple[int, int] = IMAGES_PER_SPECIES) -> dict[str, int]:
    """How many photos each species has, a dict from species to int.

    The sizes are a geometric sequence, dealt out to the species in random order.

    Args:
      seed: int, at least 0.
      images_per_species: the smallest and the largest size.

    Raises:
      RecipeError: the sizes are not 1 <= smallest <= largest.
    """
    smallest, largest = images_per_species
    if not 1 <= smallest <= largest:
        raise RecipeError(f"images_per_species must be 1 <= smallest <= largest, got {smallest} and {largest}")
    sizes = np.geomspace(largest, smallest, len(LINEAGES)).round().astype(int).tolist()
    order = np.random.default_rng(seed).permutation(len(LINEAGES))
    species = list(LINEAGES)
    return {species[index]: size for index, size in sorted(zip(order.tolist(), sizes, strict=True))}


def write_specimens(
    folder: Path | str, seed: int = 0, images_per_species: tuple[int, int] = IMAGES_PER_SPECIES, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Draws the whole set: photos, overview.jpg, README.md and, last, manifest.csv. Returns the folder.

    A complete set of the same seed and sizes is left as it is; an interrupted one is drawn again.

    Args:
      folder: a new or empty folder, or one that this function wrote.
      seed: int, at least 0.
      images_per_species: photos of the rarest and of the most common species.
      progress: called as progress(done, total) after each photo.

    Raises:
      DataError: the folder holds something else, or a set of another seed or of other sizes.
      RecipeError: the sizes are not 1 <= smallest <= largest.
      StorageError: a file could not be written.
    """
    folder = Path(folder)
    sizes = class_sizes(seed, images_per_species)
    settings = {"tfvision_specimens": _VERSION, "seed": seed, "images_per_species": list(images_per_species)}
    _check_folder(folder, settings)
    if (folder / "manifest.csv").exists():
        return folder
    write_json(folder / SETTINGS_NAME, settings)
    photos, firsts = [(species, number) for species, size in sizes.items() for number in range(1, size + 1)], {}
    for done, (species, number) in enumerate(photos, 1):
        photo = Image.fromarray(draw_specimen(species, number, seed))
        firsts.setdefault(species, photo)
        _save_jpeg(photo, folder / _photo_name(species, number))
        if progress:
            progress(done, len(photos))
    _save_jpeg(_overview(firsts), folder / "overview.jpg")
    write_text(folder / "README.md", _README.format(species=len(sizes), photos=len(photos), **settings))
    write_text(folder / "manifest.csv", _manifest(photos))
    return folder


_README = """\
# Specimens: a drawn teaching set

{photos} drawn photos of {species} species, by `tfvision data specimens` (seed {seed}).

The names and their taxonomy are real; **the drawings are symbols, not portraits**. Body plan tells the
order, outline the family, colour and markings the genus. The species of a genus differ in nothing but a fine
texture, which is lost when the whole photo is shrunk to 80 px and kept in a magnified view of its middle.
A network trained on this set has learnt to read drawings: it knows nothing of living animals.

- `manifest.csv`: each photo and its names at seven ranks.
- `overview.jpg`: one photo of each species, its texture enlarged in the corner.
"""


def _check_folder(folder, settings):
    if not folder.exists():
        return
    if folder.is_dir() and all(path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir()):
        return
    try:
        stored = parse_json((folder / SETTINGS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict) or "tfvision_specimens" not in stored:
        raise DataError(f"specimens are written to a new or empty folder, but {folder} holds something else: choose another folder")
    if stored != settings:
        raise DataError(f"{folder} holds specimens made with {_in_words(stored)}, not with {_in_words(settings)}: choose another folder, or delete this one")


def _in_words(settings):
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _photo_name(species, number):
    name = species.replace(" ", "_")
    return f"photos/{name}/{name}_{number:04d}.jpg"


def _save_jpeg(image, path):
    """Plainly, without a sync each: a run that breaks off leaves no manifest and is drawn again."""
    with storage_errors(path, ": {remedy}, then run the same command again"):
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=95, subsampling=0)  # 4:4:4, so that no texture loses its colour
        path.write_bytes(encoded.getvalue())


def _manifest(photos):
    return csv_text([("image", *RANKS), *((_photo_name(species, number), *LINEAGES[species]) for species, number in photos)])


def _overview(photos):
    """A sheet with a row for each family: its species, of which there is a photo each, at full size, 48 px of each enlarged in the corner."""
    families = {}
    for species, lineage in LINEAGES.items():
        families.setdefault(lineage[3:5], []).append(species)
    width, height = 264 * max(map(len, families.values())) + 8, 312 * len(families) + 8
    sheet, font = Image.new("RGB", (width, height), "white"), ImageFont.load_default(17)
    write = functools.partial(ImageDraw.Draw(sheet).text, fill="black", font=font)
    for row, ((order, family), members) in enumerate(families.items()):
        top = 312 * row + 8
        write((8, top), f"{order}: {family}")
        for column, species in enumerate(members):
            left = 264 * column + 8
            photo = photos[species]
            sheet.paste(photo, (left, top + 24))
            sheet.paste(photo.resize((96, 96), Image.NEAREST, (104, 104, 152, 152)), (left + 160, top + 184))
            write((left, top + 282), species)
    return sheet
