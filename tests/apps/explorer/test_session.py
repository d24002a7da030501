import dataclasses
import os
import threading
import time

import PIL.Image
import pytest

from tfvision.apps.explorer import answers
from tfvision.apps.explorer.export import export_site
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError, GalleryError
from tfvision.index import making
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.locations import create_gallery


def _wait(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no photos"):
        Session(plan([str(tmp_path / "empty")]))


def test_an_empty_gallery_is_told(tmp_path):
    FolderGallery.create(tmp_path / "g", 3).close()
    with pytest.raises(GalleryError, match="is empty: add pictures with"):
        Session(plan([tmp_path / "g"]))


def test_one_picture_has_no_neighbours(tmp_path, photos):
    with FolderGallery.create(tmp_path / "g", 2) as gallery:
        gallery.add(["a"], [[1, 0]], [str(photos / "reds" / "red 1.png")])
    session = Session(plan([tmp_path / "g"]))
    layer = session.collection.layers[0]
    assert session.queries.open("0", layer).hits(5).tolist() == [] and len(layer.random_pairs()) == 0
    assert session.tables.map(layer, "pca").tolist() == [[0, 0]] and (session.tables.neighbours(layer)[0] == -1).all()


@pytest.mark.slow
def test_a_folder_is_shown_at_once_and_indexed_meanwhile(colour_photos, matcher_run, tmp_path):
    (tmp_path / "photos").mkdir()
    for path in sorted(colour_photos.glob("*.png"))[:8]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    what = plan([str(tmp_path / "photos")], [str(matcher_run)])
    session = Session(what)
    assert len(session.collection.pictures) == 9 and session.collection.layers == ()  # usable before anything is indexed
    session.start()
    _wait(lambda: session.collection.layers and session.collection.layers[0].count == 8 and session.status()["indexing"] is None)
    _wait(lambda: session.status()["broken"]["count"] == 1 and len(session.thumbnails) == 9)
    assert "broken.jpg" in session.status()["broken"]["named"][0]["reason"]
    assert session.queries.open("1", session.collection.layers[0]).hits(3).size == 3

    again = Session(what)  # the second call finds it all
    assert len(again.collection.pictures) == 8 and again.collection.layers[0].count == 8
    again._look_for_changes()
    assert again.changed is None

    (tmp_path / "photos" / again.collection.pictures.ids[0]).unlink()
    PIL.Image.new("RGB", (30, 30), "red").save(tmp_path / "photos" / "new 'one'.png")
    again._look_for_changes()
    assert again.changed == {"new": 1, "gone": 1, "changed": 0, "can_add": True}
    assert again.update()
    _wait(lambda: again.collection.version == 2 and again.status()["indexing"] is None)
    assert "new 'one'.png" in again.collection.pictures.ids and len(again.collection.pictures) == 8 and again.changed is None
    outside = again.queries.receive((tmp_path / "photos" / "new 'one'.png").read_bytes())
    query = again.queries.open(outside, again.collection.layers[0])
    assert query.scores[again.collection.pictures.positions["new 'one'.png"]] == pytest.approx(1, abs=1e-3)
    for each in (session, again):
        each.stop()


def test_stopping_ends_what_goes_on_in_the_background(photos, matcher_run, tmp_path, monkeypatch):
    reached = threading.Event()

    def build(*arguments, progress, **options):
        progress.start(6)
        reached.set()
        while True:
            progress.advance(0)

    monkeypatch.setattr(making, "build_gallery", build)
    said = []
    session = Session(plan([str(photos)], [str(matcher_run)], state=str(tmp_path / "state")), said.append).start()
    assert reached.wait(300)
    session.stop()
    assert not any(thread.is_alive() for thread in session._threads)
    assert session.error is None and session.indexing is None and said == []


def test_a_gallery_in_milvus_is_shown_as_a_folders_is(make_gallery, tmp_path):
    pytest.importorskip("milvus_lite", reason="milvus-lite, an extra that needs Python 3.12, is not installed")
    folder, location = make_gallery(), f"milvus://{tmp_path}/store.db/colours"
    with FolderGallery.open(folder) as gallery, create_gallery(location, 3, gallery.facts) as stored:
        stored.add(["gone"], [[1, 1, 1]], ["gone.png"])
        stored.add(gallery.ids, gallery.vectors, gallery.images, list(gallery.metadata))
        stored.remove(["gone"])  # a row without a picture stays
    expected, shown = Session(plan([folder])), Session(plan([location]))
    assert (shown.plan.name, shown.plan.state) == ("colours", tmp_path / "store-colours-explorer")
    assert [shown.collection.pictures.path(position) for position in range(6)] == [expected.collection.pictures.path(position) for position in range(6)]
    (one,), (other,) = expected.collection.layers, shown.collection.layers
    assert (other.dimension, other.count) == (3, 6)
    for name in ("0", "4", "g:colour=greens"):
        for ask in (answers.distribution, lambda *asked: answers.neighbours(*asked, 5), lambda *asked: answers.within(*asked, 0.1, 1, 9)):
            assert ask(shown.queries, other, name) == ask(expected.queries, one, name)
    for found, known in zip(shown.tables.neighbours(other), expected.tables.neighbours(one), strict=True):
        assert (found[:, 0] == known[:, 0]).all() if found.dtype == int else found == pytest.approx(known, abs=1e-6)
    assert shown.tables.map(other, "pca") == pytest.approx(expected.tables.map(one, "pca"))
    export_site(shown.plan, tmp_path / "site")

    os.unlink(shown.collection.pictures.path(2))
    shown.index()
    assert shown.changed == {"new": 0, "gone": 1, "changed": 0, "can_add": False}
    assert shown.update()
    _wait(lambda: shown.collection.version == 2)
    assert len(shown.collection.pictures) == 5 == shown.collection.layers[0].count


def test_files_that_are_gone_or_newer_than_a_gallery_are_told(session, photos):
    session._look_for_changes()
    assert session.changed is None
    (photos / "reds" / "red 1.png").unlink()
    os.utime(photos / "blues" / "blue 2.png", (time.time() + 100,) * 2)
    session._look_for_changes()
    assert session.changed == {"new": 0, "gone": 1, "changed": 1, "can_add": False}


def test_more_than_a_few_gone_are_removed_only_where_their_number_was_typed(session, photos, tmp_path):
    for path in [*(photos / "reds").iterdir(), *(photos / "blues").iterdir()]:
        path.unlink()
    for typed in (None, 3, 6):
        with pytest.raises(DataError, match=r"4 of 6 pictures are gone: .*my photos.* they are not in it"):
            session.update(typed)
    assert session.changed["gone"] == 4 and "why" in session.changed
    assert session.update(4)
    _wait(lambda: session.collection.version == 2)
    assert session.collection.pictures.ids == ['greens/green "quoted" & <b>.png', "greens/grün 草.png"]


def test_a_few_gone_are_removed_without_a_word_and_all_are_not(session, photos):
    (photos / "reds" / "red 1.png").unlink()
    session._look_for_changes()
    assert "why" not in session.changed
    photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(DataError, match=r"6 of 6 pictures are gone: .*my photos is not there\. Was a disk unplugged"):
        session.update()


def test_a_walk_that_an_update_overtook_tells_nothing(session, photos, monkeypatch):
    (photos / "reds" / "red 1.png").unlink()
    walk = session._changes

    def overtaken(pace):
        monkeypatch.undo()
        found = walk(pace)
        assert session.update()
        _wait(lambda: session.collection.version == 2)
        return found

    monkeypatch.setattr(session, "_changes", overtaken)
    session._look_for_changes()
    assert session.changed is None


def test_thumbnails_are_filled_by_one_thread_at_a_time(session, monkeypatch):
    filling, seen = [], []

    def fill(advance, is_stopped):
        filling.append(None)
        seen.append(len(filling))
        time.sleep(0.1)
        filling.pop()

    monkeypatch.setattr(session.thumbnails, "fill", fill)
    threads = [threading.Thread(target=session._fill_thumbnails) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1, 1, 1]


def test_a_file_that_may_not_be_looked_at_is_not_gone(session, photos, monkeypatch):
    stat = os.stat

    def refuse(path, *arguments, **options):
        if "reds" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    session._look_for_changes()
    assert session.changed is None


class Told:
    """Columns that are computed a picture at a time."""

    needs_vectors = False

    def __init__(self):
        self.told, self.computing = {}, 0

    def known(self, collection):
        return dict(self.told)

    def missing(self, collection):
        return sum(id not in self.told for id in collection.pictures.ids)

    def forget(self, ids):
        for id in ids:
            del self.told[id]

    def make(self, collection, advance):
        self.computing += 1
        assert self.computing == 1
        for id in collection.pictures.ids:
            if id not in self.told:
                self.told[id] = {"answer": "yes"}
                time.sleep(0.02)
                advance(1)
        self.computing -= 1


def test_columns_are_computed_by_one_thread_at_a_time_and_shown_with_what_is_there(make_gallery):
    columns, failed = Told(), []
    session = Session(dataclasses.replace(plan([make_gallery()]), columns=columns))

    def ask():
        try:
            session._ask(has_vectors=False)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and session.asking is None and session.collection.version == 2
    values, codes = session.collection.pictures.columns["answer"]
    assert (values, codes.tolist()) == (["yes"], [0] * 6)


def test_what_is_said_of_pictures_that_have_changed_is_computed_anew(photos, make_gallery):
    columns = Told()
    session = Session(dataclasses.replace(plan([make_gallery()]), columns=columns))
    session._ask(has_vectors=False)
    changed = session.collection.pictures.ids[3]
    columns.told[changed] = {"answer": "of before"}
    later = time.time() + 3600
    os.utime(photos / changed, (later, later))
    assert session.update()
    _wait(lambda: columns.told.get(changed) == {"answer": "yes"} and session.asking is None)
    session.stop()
