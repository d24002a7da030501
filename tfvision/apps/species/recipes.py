"""The species recipes: the paper's three experiments, and the one to start with.

All three of the paper's leave it in these: a threshold that reaches its target with 95 % confidence instead of hill climbing, a temperature
before it, groups of photos that no split parts, weight decay of kernels alone (docs/species.md, how it differs from the paper).
"""

from tfvision.trained.species_run import SpeciesRecipe


def paper_baseline() -> SpeciesRecipe:
    """InceptionResNetV2, one view (paper, section 5, first experiment).

    `tfvision train species SOURCE --recipe paper-baseline`; days on a GPU for 1.2 million photos;
    the paper's score: 46.6 % of 19,027 species, depth 4.78 at 90 %.
    """
    return SpeciesRecipe(
        name="paper-baseline",
        precision="float32",
        validation_sample=2048,
        views=("whole",),
        batch_size=32,
        stages=((3, 0.01), (2, 0.001), (1, 0.0001)),
    )


def paper_multiview() -> SpeciesRecipe:
    """Whole view and crop view (paper, section 5, second experiment).

    `tfvision train species SOURCE --recipe paper-multiview`; the paper's score: 54.8 %, depth 4.96 at 90 %. Its parts are 4.5 epochs, where the
    text says four in total.
    """
    return SpeciesRecipe(
        name="paper-multiview",
        precision="float32",
        validation_sample=2048,
        stages=((2, 0.1), (1.5, 0.01), (0.5, 0.001), (0.5, 0.0001)),
    )


def paper_hierarchical() -> SpeciesRecipe:
    """Two views, trained on genera first (paper, section 5, third experiment; READINGS for the last rate).

    `tfvision train species SOURCE --recipe paper-hierarchical`; the paper's score: 55.8 %, depth 5.09 at 90 %.
    """
    return SpeciesRecipe(
        name="paper-hierarchical",
        precision="float32",
        validation_sample=2048,
        start_rank="genus",
        coarse_stages=((1.5, 0.1),),
        stages=((1, 0.1), (1, 0.01), (0.5, 0.001), (0.5, 0.0001)),
    )


def small() -> SpeciesRecipe:
    """The default: two views on MobileNetV2, minutes on two cores; docs/species.md has its scores.

    `tfvision train species SOURCE`; ImageNet weights where they can be had, else from scratch.
    """
    return SpeciesRecipe(
        name="small",
        network="mobilenet_v2",
        weights="auto",
        image_size=160,
        is_crop_branch_pretrained=True,
        has_auxiliary_head=False,
        frozen=("stem",),
        batch_size=32,
        stages=((50, 0.05),),
        schedule="cosine",
        warmup_steps=50,
        optimizer="sgd",
        backbone_rate=0.5,
        label_smoothing=0.1,
        mixup=0.2,
        batch_norm_momentum=0.9,
        area=(0.15, 1.0),
        brightness=0.1,
        contrast=0.3,
        saturation=0.3,
        hue=0.02,
        is_mirrored_at_prediction=True,
        unknown_share=0.1,
    )


def specimens() -> SpeciesRecipe:
    """The built-in specimens: the small network from scratch, two views of 80 px; under five minutes on two cores.

    `tfvision train species`
    """
    return SpeciesRecipe(
        name="specimens",
        network="small",
        weights="none",
        image_size=80,
        has_auxiliary_head=True,
        batch_size=32,
        stages=((14, 0.03),),
        schedule="cosine",
        warmup_steps=50,
        optimizer="sgd",
        weight_decay=5e-4,
        label_smoothing=0.1,
        batch_norm_momentum=0.9,
        gradient_clip_norm=5.0,
        area=(0.4, 0.9),
        brightness=0.1,
        contrast=0.2,
        saturation=0.2,
        hue=0.02,
        unknown_share=0.1,
    )


RECIPES = {
    "small": small,
    "paper-baseline": paper_baseline,
    "paper-multiview": paper_multiview,
    "paper-hierarchical": paper_hierarchical,
    "specimens": specimens,
}
