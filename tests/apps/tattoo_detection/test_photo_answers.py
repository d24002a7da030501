import json
import shutil

from tfvision.apps.tattoo_detection.photo_answers import _answers_when_tested
from tfvision.trained.detector_run import DetectorRun


def test_of_the_test_lists_only_what_is_known_is_told(detector_run, tmp_path):
    run = DetectorRun(shutil.copytree(detector_run, tmp_path / "run"))
    metrics = json.loads(run.metrics_path.read_text())
    wrong = [{"image": "1.png", "label": "other", "score": 1.5, "row": 1}, {"image": "2.png", "label": "tattoo", "score": -1.5, "row": 2}]
    run.metrics_path.write_text(json.dumps({**metrics, "wrong": wrong}))
    again = next(line for line in run.photos_path.read_text().splitlines() if line.startswith("3.png"))
    run.photos_path.write_text(f"{run.photos_path.read_text()}{again}\n")
    told = _answers_when_tested(run)
    assert len(told) == 23 and "3.png" not in told  # two boxes of one photo
    assert {name for name, one in told.items() if one["outcome when tested"] == "wrong"} == {"1.png", "2.png"}
    assert [float(told[name]["confidence where wrong"]) > 0.5 for name in ("1.png", "2.png")] == [True, True]
    assert told["0.png"] == {"outcome when tested": "right", "score when tested": "", "confidence where wrong": ""}
    run.metrics_path.write_text(json.dumps({**metrics, "wrong": [{}]}))
    assert _answers_when_tested(run) == {}  # rather than that all were right
