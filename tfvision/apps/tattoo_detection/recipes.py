"""The detector's recipes: the paper's numbers, and those to start with."""

from tfvision.trained.detector_run import DetectorRecipe


def paper() -> DetectorRecipe:
    """AlexNet of table 1 fine-tuned, then a linear SVM on fc7 (tattoo-recognition, section 2.1).

    `tfvision train tattoo-detector SOURCE --recipe paper`; six trainings of 10,500 steps, hours on a GPU. The paper's scores on
    Tatt-C: tattoo 0.9985, non-tattoo 0.9980, overall 0.9983. ImageNet weights of AlexNet are for `tfvision weights import`;
    `--weights none` trains from the paper's random ones. It leaves the paper in these: biases start at 0.1, not 1; ImageNet weights see their
    own pixels; photos are squeezed to 256 x 256; dropout behind fc7 too (docs/tattoo.md, how it differs from the paper).
    """
    return DetectorRecipe(
        name="paper",
        precision="float32",
        image_size=256,
        crop_size=227,
        vertical_flip=True,
        batch_size=64,
        stages=((3500, 1e-4), (3500, 1e-5), (3500, 1e-6)),
        stage_unit="steps",
        optimizer="sgd",
        bias_rate=2.0,
        weight_decay=5e-4,
    )


def small() -> DetectorRecipe:
    """The default: MobileNetV2 as ImageNet left it, its features seen once by the SVM; minutes on two cores.

    `tfvision train tattoo-detector SOURCE`; benchmarks/tattoo_detection.py says how well it does. To fine-tune as well:
    `--set is_fine_tuned=true` (a training a fold).
    """
    return DetectorRecipe(
        name="small",
        network="mobilenet_v2",
        is_fine_tuned=False,
        stages=((4, 0.01),),
        schedule="cosine",
        warmup_steps=10,
        optimizer="sgd",
        backbone_rate=0.3,
        batch_size=32,
        dropout=0.2,
        brightness=0.1,
        contrast=0.2,
        saturation=0.2,
        gradient_clip_norm=5.0,
        weight_decay=5e-4,
        is_normalised=True,
        svm_lambda=0.001,
    )


RECIPES = {"small": small, "paper": paper}
