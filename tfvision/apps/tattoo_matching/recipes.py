"""The matcher's recipes: the paper's two, and that to start with."""

from tfvision.trained.matcher_run import MatcherRecipe

_SIAMESE = {  # of both of the paper's recipes
    "weights": "none",
    "tap": "ip2",
    "is_normalised": False,
    "optimizer": "sgd",
    "bias_rate": 2.0,
    "weight_decay": 0.0,
    "precision": "float32",
    "area": (1.0, 1.0),
    "aspect": (1.0, 1.0),
    "is_aspect_relative": True,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "flip": True,
    "vertical_flip": True,
}


def contrastive() -> MatcherRecipe:
    """The Siamese network of table 2, grey 56 x 46, with the contrastive loss (tattoo-recognition, section 2.2).

    `tfvision train tattoo-matcher SOURCE --recipe contrastive`; 70,000 steps. The loss is on the 2 values of `feat`, a photo's
    vector is the 10 of `ip2`. The paper's scores, mixed media of Tatt-C: rank 1 0.122, rank 10 0.569, rank 20 0.873. It leaves the paper in
    these: the loss is averaged, not summed; photos are squeezed, not cropped; rates fall to 10 %, not by 10 %; pairs are drawn anew each
    epoch (docs/tattoo.md, how it differs from the paper). `tfvision evaluate TATTC --protocol mixed-media --folds` is its table 4.
    """
    return MatcherRecipe(
        name="contrastive",
        network="siamese",
        loss_tap="feat",
        loss="contrastive",
        margin=1.0,
        batch_size=128,  # 64 pairs
        stages=((20000, 1e-4), (20000, 1e-5), (20000, 1e-6), (10000, 1e-7)),
        **_SIAMESE,
    )


def triplet() -> MatcherRecipe:
    """The same network with 256 values of `ip2` and the loss of random triplets (tattoo-recognition, section 2.2).

    `tfvision train tattoo-matcher SOURCE --recipe triplet`; 40,000 steps. The paper's scores, similarity of Tatt-C: rank 1
    0.055, rank 10 0.164, rank 20 0.249. It leaves the paper where `contrastive` does; triplets are drawn at random, which the text leaves
    open. `tfvision evaluate TATTC --protocol similarity --folds` is its table 5.
    """
    return MatcherRecipe(
        name="triplet",
        network="siamese_triplet",
        loss="triplet",
        margin=0.005,
        batch_size=192,  # 64 triplets
        stages=((10000, 2e-4), (10000, 2e-5), (10000, 2e-6), (10000, 2e-7)),
        **_SIAMESE,
    )


def small() -> MatcherRecipe:
    """The default: MobileNetV2 at 160 px, triplets mined in batches of 8 subjects x 4 photos, for two cores.

    `tfvision train tattoo-matcher SOURCE`; ImageNet weights where they can be had, else from scratch. Photos are turned,
    bent, recoloured, blurred and partly hidden at random, so that a subject with one photo has genuine pairs too;
    benchmarks/tattoo_matching.py says how long it takes and how well it does.
    """
    return MatcherRecipe(
        name="small",
        network="mobilenet_v2",
        weights="auto",
        image_size=160,
        rotations=4,
        loss="semi-hard",
        margin=0.2,
        batch_size=32,
        photos_per_subject=4,
        stages=((300, 1e-4),),
        schedule="cosine",
        warmup_steps=20,
        optimizer="adam",
        epsilon=1e-8,
        weight_decay=0.0,
        frozen="block_2_add",
        is_batch_norm_frozen=True,
        area=(0.35, 1.0),
        is_aspect_relative=True,
        brightness=0.2,
        contrast=0.3,
        saturation=0.3,
        hue=0.05,
        rotation=180.0,
        shear=0.3,
        perspective=0.2,
        tint=0.25,
        grey=0.1,
        blur=0.012,
        occlusion=0.15,
    )


RECIPES = {"small": small, "contrastive": contrastive, "triplet": triplet}
