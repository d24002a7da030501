"""What is explored and where things are kept: a gallery, several, or a folder that becomes one."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfvision.apps.explorer.more_columns import MoreColumns
from tfvision.apps.explorer.run_photos import is_run, open_run
from tfvision.apps.explorer.survey_photos import is_survey, open_survey
from tfvision.data.csv_table import TABLE_SUFFIXES
from tfvision.errors import DataError
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.text_encoder import find_towers, no_towers
from tfvision.index.locations import has_gallery, is_in_milvus, open_gallery
from tfvision.index.milvus_server import lite_file, parse_location
from tfvision.models.weight_sources import KEYWORDS

_USUAL_TABLES = ("manifest", "labels", "metadata")


class PlannedLayer(NamedTuple):
    """A layer of the page.

    Attributes:
      name: for people.
      location: of its gallery (locations.open_gallery).
      recipe: where the gallery may have to be built; else None.
    """

    name: str
    location: str
    recipe: FeatureRecipe | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to open.

    Attributes:
      name: of the collection, for people.
      source: the folder or manifest whose photos are shown, or None where only galleries are known.
      galleries: a layer each; the first counts.
      state: the folder for thumbnails, tags, verdicts and derived results.
      trusted: models that the user named, which may be programs (models.programs).
      columns: what more is said of the photos than their manifest says; None = nothing.
      opens_at: what stands behind the # of the page's address when it is opened.
      told: lines for people on what is shown.
      text_model: what makes vectors of texts (features.text_encoder); None = nothing is asked in words.
    """

    name: str
    source: str | None
    galleries: tuple[PlannedLayer, ...]
    state: Path
    trusted: tuple[str, ...] = ()
    columns: MoreColumns | None = None
    opens_at: str = ""
    told: tuple[str, ...] = ()
    text_model: str | None = None


def plan(
    locations: Sequence[str | Path],
    models: Sequence[str] = (),
    layers: Sequence[str] = (),
    state: str | Path | None = None,
    weights: str | Path | None = None,
    text_model: str | Path | None = None,
) -> Plan:
    """Reads the command's arguments.

    Args:
      locations: one folder or manifest of photos, one run or survey, or galleries of the same pictures, the first of which counts.
      models, layers: networks and their taps for a folder: a layer of the page for each network and tap. With galleries, models that
        they name and that may be run although they are programs.
      state: a folder to keep things in, instead of one beside the photos or the gallery.
      weights: of the one network for a folder, as models.weights.load_pretrained takes them; None = "imagenet".
      text_model: to ask in words: a folder of two towers or the .onnx file of a text tower (features.text_encoder). A folder of photos is seen by
        its image tower, beside `models`.

    Raises:
      DataError: a location of neither, or no text model.
      GalleryError, UserError: Milvus cannot be reached, or its client is not installed.
    """
    if text_model is not None:
        if (towers := find_towers(text_model)) is None:
            raise no_towers(text_model)
        models = tuple(dict.fromkeys([*models, str(towers.folder)]))
        return dataclasses.replace(plan(locations, models, layers, state, weights), text_model=str(text_model))
    if all(has_gallery(location) for location in locations):
        if layers or weights:
            option = "--layer" if layers else "--weights"
            raise DataError(f"{locations[0]} is a gallery, whose network is fixed: give {option} with a folder of photos, or several galleries")
        return dataclasses.replace(_galleries_plan([str(location) for location in locations], state), trusted=tuple(models))
    if len(locations) > 1:
        wrong = next(location for location in locations if not has_gallery(location))
        raise DataError(f"{wrong} is no gallery: give one folder of photos, or several galleries of the same pictures")
    source = Path(locations[0])
    if not source.exists():
        raise DataError(f"{locations[0]} does not exist: give a folder of photos, a manifest.csv or a gallery")
    if weights and len(models) > 1:
        raise DataError(f"--weights are those of one network, got {', '.join(models)}: make a gallery of each with `tfvision index build`, and explore these")
    own = is_run(source) or is_survey(source)
    home = Path(state) if state else _gallery_home(str(source)) if own else _home(source)
    if weights and str(weights) not in KEYWORDS and not Path(weights).is_file():
        raise DataError(f"{weights} does not exist: give a file of weights, imagenet or none")
    shown = (open_run if is_run(source) else open_survey)(source, home / "explorer") if own else None
    if shown and shown.model:
        models = (shown.model, *(model for model in models if model != shown.model))
    plain = FeatureRecipe(weights=str(weights)) if weights else FeatureRecipe()
    recipes = [dataclasses.replace(plain, model=model, layers=(layer,) if layer else ()) for model in models or ("mobilenet_v2",) for layer in layers or ("",)]
    marks = {shown.model: shown.mark} if shown else {}
    slugs = [_slug(recipe, marks.get(recipe.model, "")) for recipe in recipes]
    galleries = tuple(PlannedLayer(_recipe_name(recipe), str(home / "galleries" / slug), recipe) for recipe, slug in zip(recipes, slugs, strict=True))
    name = _source_name(source.resolve())
    if shown:
        return Plan(name, str(shown.source), galleries, home / "explorer", tuple(models), shown.columns, shown.opens_at, shown.told)
    return Plan(name, str(source), galleries, home / "explorer", tuple(models))


def _galleries_plan(locations: list[str], state: str | Path | None) -> Plan:
    names = []
    for location in locations:
        with open_gallery(location) as gallery:
            recipe = gallery.facts.get("recipe", {})
        named = FeatureRecipe(model=str(recipe.get("model", "")), layers=tuple(recipe.get("layers", ())))
        names.append(_recipe_name(named) if named.model else _last_name(location))
    if len(set(names)) < len(names):
        names = [_last_name(location) for location in locations]
    if len(set(names)) < len(names):
        names = locations
    home = Path(state) if state else _gallery_home(locations[0])
    return Plan(_last_name(locations[0]), None, tuple(PlannedLayer(name, location, None) for name, location in zip(names, locations, strict=True)), home)


def _last_name(location: str) -> str:
    return parse_location(location)[1] if is_in_milvus(location) else Path(location).resolve().name


def _source_name(source: Path) -> str:
    """A folder's name, or a table's; of one that is called as most are, its folder's."""
    if source.suffix.lower() not in TABLE_SUFFIXES:
        return source.name
    return source.parent.name or source.stem if source.stem.lower() in _USUAL_TABLES else source.stem


def _home(source: Path) -> Path:
    """FOLDER/.tfvision, which no reading of photos looks into; elsewhere where that cannot be written."""
    folder = source if source.is_dir() else source.parent
    return _writable(folder / ".tfvision" / ("" if source.is_dir() else source.stem), str(source.resolve()))


def _gallery_home(location: str) -> Path:
    """GALLERY-explorer beside a folder or a milvus-lite file; in the user's cache for a server."""
    if not is_in_milvus(location):
        folder = Path(location).resolve()
        return _writable(folder.with_name(f"{folder.name}-explorer"), str(folder))
    file = lite_file(location)
    if not file:
        return _cache(location)
    path = Path(file).resolve()
    return _writable(path.with_name(f"{path.stem}-{_last_name(location)}-explorer"), f"{path}/{_last_name(location)}")


def _writable(wanted: Path, source: str) -> Path:
    there = next(parent for parent in [wanted, *wanted.parents] if parent.exists())
    return wanted if os.access(there, os.W_OK) else _cache(source)


def _cache(source: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tfvision" / "explorer" / hashlib.sha256(source.encode()).hexdigest()[:16]


def _recipe_name(recipe: FeatureRecipe) -> str:
    model = os.path.basename(recipe.model.rstrip("/")) or recipe.model
    return " ".join([model, *recipe.layers])


def _slug(recipe: FeatureRecipe, mark: str = "") -> str:
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in _recipe_name(recipe))
    told = [recipe.model] * (os.path.sep in recipe.model) + [recipe.located().weights] * (recipe.weights != FeatureRecipe.weights) + [mark] * bool(mark)
    return f"{plain}-{hashlib.sha256('|'.join(told).encode()).hexdigest()[:6]}" if told else plain
