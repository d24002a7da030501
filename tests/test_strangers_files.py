"""What strangers' files name is data: it is not run, and no path in it leads elsewhere. A canary file must not appear, and a neighbour stays as it is.

What a server answers: tests/cli/test_serve.py.
"""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from tfvision.applications import APPLICATIONS
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.apps.style.sidecar import StyleJob, job_like, write_sidecar
from tfvision.data.imports.importing import import_photos
from tfvision.data.preparing.preparing import prepare
from tfvision.errors import DataError, GalleryError, RunError, UserError
from tfvision.export.saved_model import write_saved_model
from tfvision.features.recipe import FeatureRecipe
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.making import add_photos, gallery_extractor
from tfvision.index.querying import search_photos

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    """(a module that writes a file as soon as it is loaded, that file)."""
    import tensorflow as tf
    from tensorflow.python.trackable.resource import CapturableResource

    folder, file = tmp_path_factory.mktemp("canary") / "module", tmp_path_factory.mktemp("sung") / "file"

    class Canary(CapturableResource):
        def _create_resource(self):
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            tf.io.write_file(str(file), "sung")

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.canary = Canary()

        @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32)], autograph=False)
        def __call__(self, images):
            self.canary.resource_handle  # noqa: B018 - it belongs to the module
            return tf.reduce_mean(images, [1, 2])

    tf.saved_model.save(Module(), str(folder))
    file.unlink(missing_ok=True)
    return folder, file


@pytest.fixture(params=["{folder}", "hub:{folder}"])
def gallery(request, canary, tmp_path):
    """A gallery of three vectors that says that the canary made them."""
    recipe = FeatureRecipe(model=request.param.format(folder=canary[0]))
    facts = {"recipe": dataclasses.asdict(recipe), "identity": "x", "is_complete": True}
    with FolderGallery.create(tmp_path / "gallery", 3, facts) as gallery:
        gallery.add(["a", "b", "c"], np.eye(3, dtype=np.float32), ["a.png", "b.png", "c.png"])
    return tmp_path / "gallery", recipe.model


def test_a_program_that_a_gallery_names_is_not_run(gallery, canary, colour_photos):
    location, model = gallery
    photo = str(next(colour_photos.glob("*.png")))
    with FolderGallery.open(location) as opened, pytest.raises(GalleryError, match=f"if you trust who made it, repeat it: --model {model}"):
        list(search_photos(opened, [photo], 1))
    with pytest.raises(GalleryError, match="--model"):
        add_photos(location, photo)
    session = Session(plan([location]))
    outside = session.queries.receive(open(photo, "rb").read())
    with pytest.raises(GalleryError, match="--model"):
        session.queries.open(outside, session.collection.layers[0])
    assert not canary[1].exists()


def test_a_program_that_the_user_names_too_is_run(gallery, canary):
    location, model = gallery
    if not model.startswith("hub:"):
        pytest.skip("the canary is no export of ours")
    with FolderGallery.open(location) as opened, pytest.raises(GalleryError, match="was made by another model"):
        gallery_extractor(opened, trusted=[model])
    assert canary[1].exists()
    canary[1].unlink()


@pytest.mark.parametrize("kind", ["species", "retriever", "tattoo-detector", "tattoo-matcher"])
@pytest.mark.parametrize("network", ["{folder}", "hub:{folder}"])
def test_a_program_that_a_run_names_is_not_run(copy_frozen, canary, kind, network):
    run = copy_frozen(kind)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["recipe"]["network"] = network.format(folder=canary[0])
    (run / "recipe.json").write_text(json.dumps(recipe))
    (run / "SHA256SUMS").unlink(missing_ok=True)
    application = APPLICATIONS[kind]
    with pytest.raises(UserError, match="network"):
        if application.has("features"):
            application.part("features").open_features(FeatureRecipe(model=str(run)), run)
        else:
            application.part("export").make_exportable(run)
    assert not canary[1].exists()


@pytest.mark.slow
def test_a_run_that_a_gallery_names_is_no_program(colour_gallery):
    with FolderGallery.open(colour_gallery) as opened:
        assert gallery_extractor(opened).dimension == opened.dimension


def test_a_module_that_a_record_names_is_not_run(canary, tmp_path, striped_painting):
    job = StyleJob(str(striped_painting), (str(striped_painting),), is_fast=True, module=str(canary[0]))
    (tmp_path / "picture.png").write_bytes(striped_painting.read_bytes())
    write_sidecar(tmp_path / "picture.png", job, {}, "tfvision stylize")
    with pytest.raises(RunError, match="if you trust who made it, repeat it: --module"):
        job_like(tmp_path / "picture.png")
    assert job_like(tmp_path / "picture.png", str(canary[0])).module == str(canary[0])
    assert not canary[1].exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../evil", "a/b", "/tmp/evil", "..", ".hidden", "a\\b", "C:evil", "a\nb"])
def test_a_models_name_leads_nowhere(colour_exportable, tmp_path, name):
    with pytest.raises(RunError, match="give another with --name"):
        write_saved_model(colour_exportable, tmp_path / "models", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", ["../victim/data-0001", "/victim/data-0001", "..", "data-0001/..", "", 1, None])
def test_a_gallerys_data_lie_in_its_folder(gallery, data, tmp_path):
    location, victim = gallery[0], tmp_path / "victim"
    with FolderGallery.create(victim, 3) as other:
        other.add(["a", "b", "c"], np.eye(3, dtype=np.float32), ["a.png", "b.png", "c.png"])
    manifest = location / "gallery.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "data": data}))
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    with pytest.raises(GalleryError, match="gallery.json is damaged"), FolderGallery.open(location, writable=True) as opened:
        opened.remove(["a", "b"])
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before


@pytest.fixture
def neighbour(tmp_path):
    """A folder beside what a test reads and writes: it must not change."""
    folder = tmp_path / "neighbour"
    folder.mkdir()
    (folder / "manifest.csv").write_text("mine")
    (folder / "photo.png").write_bytes(b"mine")
    yield folder
    assert {path.name: path.read_bytes() for path in tmp_path.glob("neighbour/*")} == {"manifest.csv": b"mine", "photo.png": b"mine"}


@pytest.mark.parametrize("label", ["../neighbour", "..", "a/../../neighbour", "{neighbour}", "../neighbour/photo.png"])
def test_a_manifests_labels_lead_nowhere(neighbour, colour_photos, tmp_path, label):
    label = label.format(neighbour=neighbour)
    photos = sorted(colour_photos.glob("*.png"))[:2]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/manifest.csv").write_text(f"image,{label.replace('/', '-')},label,group\n" + "".join(f"{photo},x,{label},{label}\n" for photo in photos))
    prepare(tmp_path / "in/manifest.csv", tmp_path / "made/prepared", shards=1, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "made", "neighbour"]


@pytest.mark.parametrize("name", ["../neighbour/manifest.csv", "a/../../neighbour/photo.png", "{neighbour}/photo.png"])
def test_an_archives_members_lead_nowhere(neighbour, tmp_path, name):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("occurrence.txt", "id\tscientificName\n1\tParus major\n")
        file.writestr(name.format(neighbour=neighbour), "theirs")
    with pytest.raises(DataError, match="archive.zip is refused"):
        import_photos(archive, tmp_path / "made", is_downloaded=False)
    assert sorted(path.name for path in tmp_path.iterdir() if any(path.glob("*"))) == ["neighbour"]
