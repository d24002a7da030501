"""The retriever's recipes: the paper's numbers, and those to start with."""

from tfvision.trained.retriever_run import ALL_PHOTOS, RetrieverRecipe


def paper() -> RetrieverRecipe:
    """ResNet18 with CosFace, both tuning networks (feature-tuning, section 4.1; `--set loss=softmax` for table 2).

    `tfvision train retriever SOURCE --recipe paper --protocol-split paper`; hours on a GPU for 10,200 photos; the
    paper's scores: UKBench 4.00, Holidays 0.998, Oxford5k 0.617 with three layers. It leaves the paper in these: queries are held out unless
    `--protocol-split paper` is given; 5e-4 is read as the weight decay and momentum as 0.9; Oxford's photos without a landmark are of the 17
    words by which they were collected, where the paper counts 11 classes.
    """
    return RetrieverRecipe(
        name="paper",
        precision="float32",
        batch_size=64,
        stages=((60, 0.01), (30, 0.002), (20, 0.0004), (10, 0.00008)),
        optimizer="sgd",
        weight_decay=5e-4,
        train_on=ALL_PHOTOS,
    )


def small() -> RetrieverRecipe:
    """The default: MobileNetV2 at 160 px, for some thousand photos on two cores (docs/retrieval.md says how to measure it).

    `tfvision train retriever SOURCE`; ImageNet weights where they can be had, else from scratch.
    """
    return RetrieverRecipe(
        name="small",
        network="mobilenet_v2",
        weights="auto",
        image_size=160,
        batch_size=32,
        stages=((8, 0.02),),
        tuning_stages=((60, 0.01),),
        schedule="cosine",
        warmup_steps=20,
        optimizer="sgd",
        backbone_rate=0.5,
        weight_decay=5e-4,
        gradient_clip_norm=5.0,
        is_augmented=True,
        area=(0.3, 1.0),
        brightness=0.1,
        contrast=0.2,
        saturation=0.2,
        hue=0.02,
        scale=30.0,
        margin=0.2,
        tuning_input="normalised_addition",
        whitening=0.5,
        index="whitened",
    )


RECIPES = {"small": small, "paper": paper}
