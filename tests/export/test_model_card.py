import types

from tfvision.export.model_card import source_name, training_facts, without_folders


def test_no_folder_of_this_machine_comes_into_a_card():
    run = types.SimpleNamespace(facts={"source": "/home/someone/my photos/animals"})
    assert source_name(run) == "animals"
    assert without_folders("trained from /home/someone/vgg19.npz, layers 1/2") == "trained from vgg19.npz, layers 1/2"


def test_the_recipe_has_its_name_its_seed_and_what_is_told_beside(colour_run):
    from tfvision.trained.species_run import SpeciesRun

    run = SpeciesRun.open(colour_run)
    facts = training_facts(run, network="small")
    assert facts["Recipe"] == {"name": run.recipe.name, "seed": run.recipe.seed, "network": "small"}
    assert facts["Trained with"] == run.facts["versions"]
