import pytest


@pytest.fixture(scope="session")
def identifier(colour_run):
    """The colour_run, loaded."""
    from tfvision.apps.species.identification import SpeciesIdentifier

    return SpeciesIdentifier.load(str(colour_run))
