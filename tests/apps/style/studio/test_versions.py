import dataclasses
import json

import numpy as np

from tfvision.apps.style.studio.look import Look
from tfvision.apps.style.studio.versions import PAINTED, make_version

FACTS = {"iterations": 3, "evaluations": 4, "content_loss": 1.0, "style_loss": 2.0, "seconds": 5.0}


def test_a_record_names_weights_of_the_users_wherever_it_will_lie(session, painting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.npz").write_bytes(b"weights")
    session.preset = dataclasses.replace(session.preset, network="mine.npz")
    version = make_version("1", PAINTED, session.order(Look()), painting, FACTS)
    assert json.loads(version.record)["network"]["path"] == str(tmp_path / "mine.npz")


def test_a_version_keeps_the_photos_transparency(session, photo, encoded):
    alpha = np.full((*photo.shape[:2], 1), 255, np.uint8)
    alpha[:20] = 0
    session.set_photo(encoded(np.concatenate([photo, alpha], axis=2)), "cut out.png")
    version = make_version("1", PAINTED, session.order(Look()), photo, FACTS)
    assert version.png[25] == 6 and version.file_name == "cut out-waves-1.png"  # a PNG's kind of colour: RGB with alpha
