import json

import numpy as np
import pytest


@pytest.fixture(scope="session")
def identifier(colour_run):
    """The colour_run, loaded."""
    from tfvision.apps.species.identification import SpeciesIdentifier

    return SpeciesIdentifier.load(str(colour_run))


@pytest.fixture(scope="session")
def unknown_run(copy_frozen, colour_photos):
    """The colour_run, with what it answers groups by, and photos that may be of unknown species, fitted on all colour_photos."""
    from tfvision.apps.species.unknown import Seen, fit_unknown
    from tfvision.data.manifest import read_source
    from tfvision.trained.species_network import load_species_network, make_predictor, predict_with_features
    from tfvision.trained.species_run import SpeciesRun

    run = SpeciesRun.open(copy_frozen("species", "strangers"))
    stored = json.loads(run.recipe_path.read_text())
    run.recipe_path.write_text(json.dumps({**stored, "recipe": {**stored["recipe"], "unknown_share": 0.1}}))
    calibration, groups = (
        json.loads(run.calibration_path.read_text()),
        {"dependence": 0.3, "similarity": 0.9, "depth_curve": [{"target": 0.9, "threshold": 0.2}]},
    )
    run.calibration_path.write_text(json.dumps({**calibration, "groups": groups}))
    run = SpeciesRun.open(run.folder)
    manifest = read_source(colour_photos)
    predictor = make_predictor(load_species_network(run), run.recipe.is_mirrored_at_prediction, with_features=True)
    parts = list(predict_with_features(predictor, manifest, run.recipe, len(run.taxonomy)))
    numbers, logits, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    seen, is_trained = Seen(logits, features, manifest.labels(run.taxonomy)[numbers]), numbers % 2 == 0
    trained, held_out = (Seen(*(values[chosen] for values in seen)) for chosen in (is_trained, ~is_trained))
    is_fitting = np.arange(len(held_out.labels)) % 2 == 0
    groups = [np.flatnonzero(held_out.labels == label)[start : start + 2] for label in np.unique(held_out.labels) for start in range(0, 6, 2)]
    fit_unknown(run, trained, held_out, run.calibration["temperature"], is_fitting, 0, [rows for rows in groups if len(rows) == 2])
    return run.folder


@pytest.fixture(scope="session")
def unknown_exportable(unknown_run):
    """What is exported of unknown_run."""
    from tfvision.apps.species.export import make_exportable

    return make_exportable(unknown_run)
