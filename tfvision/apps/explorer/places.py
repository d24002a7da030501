"""What is explored and where things are kept: a gallery, several, or a folder that becomes one."""

import dataclasses
import hashlib
import os
from pathlib import Path

from tfvision.errors import DataError
from tfvision.features.recipe import FeatureRecipe
from tfvision.index.gallery import Gallery


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to open.

    Attributes:
      name: of the collection, for people.
      source: the folder or manifest whose photos are shown, or None where only galleries are known.
      galleries: (layer's name, gallery's folder, FeatureRecipe or None) of each layer; those with a recipe may have to be built.
      state: the folder for thumbnails, tags, verdicts and derived results.
    """

    name: str
    source: str | None
    galleries: tuple
    state: Path


def plan(places, models=(), layers=(), state=None):
    """Reads the command's arguments.

    Args:
      places: one folder or manifest of photos, or galleries of the same pictures, the first of which counts.
      models, layers: networks and their taps for a folder: a layer of the page for each network and tap.
      state: a folder to keep things in, instead of one beside the photos or the gallery.

    Raises:
      DataError: a place that is neither.
    """
    if all(Gallery.exists(place) for place in places):
        if models or layers:
            raise DataError(f"{places[0]} is a gallery, whose network is fixed: give --model and --layer with a folder of photos, or several galleries")
        return _galleries_plan([Path(place) for place in places], state)
    if len(places) > 1:
        wrong = next(place for place in places if not Gallery.exists(place))
        raise DataError(f"{wrong} is no gallery: give one folder of photos, or several galleries of the same pictures")
    source = Path(places[0])
    if not source.exists():
        raise DataError(f"{source} does not exist: give a folder of photos, a manifest.csv or a gallery")
    home = Path(state) if state else _home(source)
    recipes = [FeatureRecipe(model=model, layers=(layer,) if layer else ()) for model in models or ("mobilenet_v2",) for layer in layers or ("",)]
    galleries = tuple((_recipe_name(recipe), home / "galleries" / _slug(recipe), recipe) for recipe in recipes)
    name = source.resolve().stem if source.suffix.lower() == ".csv" else source.resolve().name
    return Plan(name, str(source), galleries, home / "explorer")


def _galleries_plan(folders, state):
    names = []
    for folder in folders:
        with Gallery.open(folder) as gallery:
            recipe = gallery.facts.get("recipe", {})
        named = FeatureRecipe(model=str(recipe.get("model", "")), layers=tuple(recipe.get("layers", ())))
        names.append(_recipe_name(named) if named.model else folder.resolve().name)
    if len(set(names)) < len(names):
        names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    main = folders[0].resolve()
    home = Path(state) if state else _writable(main.with_name(f"{main.name}-explorer"), main)
    return Plan(main.name, None, tuple((name, folder, None) for name, folder in zip(names, folders, strict=True)), home)


def _home(source):
    """FOLDER/.tfvision, which no reading of photos looks into; elsewhere where that cannot be written."""
    folder = source if source.is_dir() else source.parent
    return _writable(folder / ".tfvision" / ("" if source.is_dir() else source.stem), source)


def _writable(wanted, source):
    there = next(parent for parent in [wanted, *wanted.parents] if parent.exists())
    if os.access(there, os.W_OK):
        return wanted
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tfvision" / "explorer" / hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]


def _recipe_name(recipe):
    model = os.path.basename(recipe.model.rstrip("/")) or recipe.model
    return " ".join([model, *recipe.layers])


def _slug(recipe):
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in _recipe_name(recipe))
    return f"{plain}-{hashlib.sha256(recipe.model.encode()).hexdigest()[:6]}" if os.path.sep in recipe.model else plain
