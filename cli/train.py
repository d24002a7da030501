"""`tfvision train ...`."""

import click
from tfvision.cli.main import comma_separated, key_values, print_json


@click.group()
def train():
    """Train a model: species, a retriever, a tattoo matcher, a stylizer, vgg19-slim."""


@train.command()
@click.argument("source", required=False)
@click.option("--recipe", help="small (default), paper-baseline, paper-multiview, paper-hierarchical or specimens.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--weights", help="imagenet, none, auto or a .weights.h5 file: the same as --set weights=...")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first: department,coarse,fine.")
@click.option("--run", help="The run folder. [default: runs/species, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the split, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def species(source, recipe, settings, weights, ranks, run, resume, seed, as_json):
    """Train a species model on SOURCE: a folder of class folders (nested folders are a taxonomy), or a
    manifest.csv with a column `image` and label columns. Without SOURCE: the built-in specimens.

    \b
    tfvision train species
    tfvision train species my-photos/ --run runs/mine
    tfvision train species shelf/labels.csv --ranks department,coarse,fine
    tfvision train species my-photos/ --set batch_size=16 --set "stages=[[20, 0.05]]"
    """
    from tfvision.apps.species.training import train_species

    settings.update({key: str(value) for key, value in (("weights", weights), ("seed", seed)) if value is not None})
    metrics = train_species(source, recipe, settings, run, resume, ranks)
    if as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "classes", "accuracy", "seconds")})
    named = metrics["validation"]["specificity"]
    click.echo(f"accuracy  {metrics['accuracy']:.3f} at the finest rank, on {metrics['validation']['images']} unseen photos")
    click.echo(
        f"answers   {named['accuracy']:.3f} right at depth {named['depth']:.2f} of {named['deepest']}, "
        f"asked to be right for {named['target']:.2f} ({named['reported_on']} photos)"
    )
    if metrics["broken"]:
        click.echo(f"broken    {len(metrics['broken'])} photos could not be read; they are listed in the report")
    click.echo(f"run       {metrics['run']}  ({metrics['images']} photos, {metrics['classes']} classes, {metrics['seconds']:.0f} s)")
    click.echo(f"report    {metrics['run']}/report.html")
    click.echo(f"next      tfvision identify {metrics['run']} PHOTO...")


@train.command()
@click.argument("source", required=False)
@click.option("--recipe", help="small (default) or paper.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--weights", help="imagenet, none, auto or a file of weights: the same as --set weights=...")
@click.option(
    "--protocol-split",
    type=click.Choice(["held-out", "paper"]),
    help="paper: train on the queries too, as the paper does; stamped on every report. [default: held-out]",
)
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first; the finest is learnt.")
@click.option("--run", help="The run folder. [default: runs/retriever, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the split, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retriever(source, recipe, settings, weights, protocol_split, ranks, run, resume, seed, as_json):
    """Train an index for image retrieval on SOURCE (Feature Tuning): a folder of class folders, or a manifest.csv
    with a column `image`, labels or `group`, and perhaps `role` (query or gallery).

    Stage 1 fine-tunes a network; stage 2 trains small networks on all its taps. Queries by `role`, rows whose `split`
    is not train, or else a fifth of the classes are held out.

    \b
    tfvision train retriever my-photos/
    tfvision train retriever my-photos/ --set loss=softmax --set network=resnet18
    tfvision train retriever ukbench/ --recipe paper --protocol-split paper
    tfvision evaluate runs/retriever my-photos/ --protocol labels
    tfvision index build my-photos/ --model runs/retriever --out gallery
    """
    from tfvision.apps.retrieval.training import train_retriever

    given = (("weights", weights), ("protocol_split", protocol_split), ("seed", seed))
    settings.update({key: str(value) for key, value in given if value is not None})
    metrics = train_retriever(source, recipe, settings, run, resume, ranks)
    if as_json:
        fields = ("run", "images", "held_out", "classes", "map", "by_layer", "protocol_split", "seconds")
        return print_json({key: metrics[key] for key in fields if key in metrics})
    for name, value in metrics.get("by_layer", {}).items():
        click.echo(f"  {name:<22}{value:.3f}")
    if "map" in metrics:
        click.echo(
            f"MAP@R     {metrics['map']:.3f} by {metrics['index']}, {metrics['queries']} held-out photos against all {metrics['images'] + metrics['held_out']}"
        )
    if metrics["broken"]:
        click.echo(f"broken    {len(metrics['broken'])} photos could not be read; they are listed in the report")
    click.echo(f"run       {metrics['run']}  ({metrics['images']} photos, {metrics['classes']} classes, {metrics['seconds']:.0f} s)")
    click.echo(f"report    {metrics['run']}/report.html")
    by_layer = metrics.get("by_layer", {})
    best = max(by_layer, key=by_layer.get, default=None)
    layer = f" --layer {best}" if best and by_layer[best] > metrics["map"] else ""  # another index is the better one here
    click.echo(f"next      tfvision index build PHOTOS --model {metrics['run']}{layer} --out GALLERY")


@train.command("tattoo-matcher")
@click.argument("source", required=False)
@click.option("--recipe", help="small (default), contrastive or triplet.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--weights", help="imagenet, none, auto or a file of weights: the same as --set weights=...")
@click.option("--fold", type=int, help="Which of five folds by subject nobody trains on; -1 = train on all. A column `split` goes first. [default: 0]")
@click.option("--run", help="The run folder. [default: runs/tattoo-matcher, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the folds, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def tattoo_matcher(source, recipe, settings, weights, fold, run, resume, seed, as_json):
    """Train a matcher on SOURCE: a folder of subject folders, or a manifest.csv with the columns `image`, `subject` and
    perhaps `medium` (photo, drawing, ...), `role` or `transform`, `split`, `fold`.

    Photos of one subject come to lie near each other, those of others far away. Where there are media, pairs are of two.

    
    tfvision train tattoo-matcher tattoos/
    tfvision train tattoo-matcher tattoos/ --set loss=hard --set network=resnet50v2
    tfvision train tattoo-matcher sketches.csv --recipe contrastive --set cross_media=true
    tfvision index build tattoos/ --model runs/tattoo-matcher --out gallery
    """
    from tfvision.apps.tattoo_matching.training import train_matcher

    given = (("weights", weights), ("fold", fold), ("seed", seed))
    settings.update({key: str(value) for key, value in given if value is not None})
    metrics = train_matcher(source, recipe, settings, run, resume)
    if as_json:
        return print_json({key: value for key, value in metrics.items() if key != "broken"})
    if "accuracy" in metrics:
        click.echo(f"training  {metrics['accuracy']:.3f} told right at the end, loss {metrics['loss']:.4g}")
    if metrics["broken"]:
        click.echo(f"broken    {len(metrics['broken'])} photos could not be read; they are named in metrics.json")
    click.echo(
        f"run       {metrics['run']}  ({metrics['images']} photos of {metrics['subjects']} subjects, "
        f"{metrics['seconds']:.0f} s; {metrics['held_out']} held out)"
    )
    click.echo(f"next      tfvision index build PHOTOS --model {metrics['run']} --out GALLERY")


@train.command("tattoo-detector")
@click.argument("source", required=False)
@click.option("--non-tattoos", "others", metavar="DIR", help="Photos without tattoos, a folder or a manifest.csv; every photo of SOURCE then is a tattoo.")
@click.option("--recipe", help="small (default) or paper.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--weights", help="imagenet, none, auto or a file of weights: the same as --set weights=...")
@click.option(
    "--probe-list",
    "probe_lists",
    multiple=True,
    metavar="FILE",
    help="A list of images to test on while the others train, one a line; repeatable. [default: columns or files of SOURCE, else five by subject]",
)
@click.option("--run", help="The run folder. [default: runs/tattoo-detector, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where it was left.")
@click.option("--seed", type=int, help="Of the probe lists, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def tattoo_detector(source, others, recipe, settings, weights, probe_lists, run, resume, seed, as_json):
    """Train a detector of tattoos on SOURCE: a folder with a class folder `tattoo` and others, a manifest.csv with a column
    `label` (tattoo, or anything else) and perhaps `subject`, `fold` and `box`, or Tatt-C's detection files.

    It is judged on five probe lists, each by a detector that was trained on the other four, and then trained on all photos.

    \b
    tfvision train tattoo-detector photos/                    # photos/tattoo/*.jpg, photos/faces/*.jpg, ...
    tfvision train tattoo-detector tattoos/ --non-tattoos others/
    tfvision train tattoo-detector photos.csv --set network=vgg19
    tfvision train tattoo-detector tattc/ --recipe paper      # hours on a GPU
    tfvision detect runs/tattoo-detector photo.jpg
    """
    from tfvision.apps.tattoo_detection.report import shown_interval
    from tfvision.apps.tattoo_detection.training import train_detector

    settings.update({key: str(value) for key, value in (("weights", weights), ("seed", seed)) if value is not None})
    metrics = train_detector(source, others, recipe, settings, run, resume, probe_lists)
    if as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "tattoos", "subjects", "folds", "tattoo", "non_tattoo", "overall", "seconds")})
    kinds = ("non_tattoo", "tattoo", "overall")
    click.echo(f"{'list':<10}" + "".join(f"{kind.replace('_', '-'):>12}" for kind in kinds))
    for row in [*metrics["folds"], {"fold": "all", **{kind: metrics[kind] for kind in kinds}}]:
        cells = (f"{row[kind]['accuracy']:.4f}" if row[kind]["photos"] else "-" for kind in kinds)
        click.echo(f"{row['fold']:<10}" + "".join(f"{cell:>12}" for cell in cells))
    click.echo(f"overall   {metrics['overall']['accuracy']:.4f} ({shown_interval(metrics['overall'])}, 95 % interval), {len(metrics['wrong'])} photos wrong")
    if metrics["broken"]:
        click.echo(f"broken    {len(metrics['broken'])} photos could not be read; they are listed in the report")
    click.echo(f"run       {metrics['run']}  ({metrics['images']} photos, {metrics['tattoos']} of tattoos, {metrics['seconds']:.0f} s)")
    click.echo(f"report    {metrics['run']}/report.html")
    click.echo(f"next      tfvision detect {metrics['run']} PHOTO...")


@train.command()
@click.argument("painting", required=False)
@click.option("--photos", help="A folder of photos to learn on (some hundred; labels are not needed), or a manifest.csv.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--network", help="The perceptual network: auto, vgg19, vgg19_slim or a file: the same as --set network=...")
@click.option("--run", help="The run folder. [default: runs/stylizer, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stylizer(painting, photos, settings, network, run, resume, seed, as_json):
    """Train a feed-forward network that paints any photo in the manner of PAINTING, at once.

    \b
    tfvision train stylizer starry_night.jpg --photos my-photos/
    tfvision train stylizer starry_night.jpg --photos my-photos/ --set painting_size=256   # finer strokes
    tfvision stylize photo.jpg starry_night.jpg --preset fast --module runs/stylizer
    tfvision export runs/stylizer
    """
    from tfvision.apps.stylizer.training import train_stylizer

    settings.update({key: str(value) for key, value in (("network", network), ("seed", seed)) if value is not None})
    metrics = train_stylizer(painting, photos, None, settings, run, resume)
    if as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "seconds", "before", "after")})
    for loss in ("content_loss", "style_loss"):
        click.echo(f"{loss:<12}  {metrics['before'][loss]:.4g} -> {metrics['after'][loss]:.4g} on unseen photos, before -> after")
    if metrics["broken"]:
        click.echo(f"broken        {len(metrics['broken'])} photos could not be read; they are listed in the report")
    click.echo(f"run           {metrics['run']}  ({metrics['images']} photos, {metrics['seconds']:.0f} s)")
    click.echo(f"report        {metrics['run']}/report.html")
    click.echo(f"next          tfvision stylize PHOTO PAINTING --preset fast --module {metrics['run']}")


@train.command("vgg19-slim")
@click.argument("photos", required=False)
@click.option("--teacher", "teachers", multiple=True, help="Weights of a VGG19, or of a small one; repeatable.")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--run", help="The run folder. [default: runs/vgg19-slim, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the split, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def vgg19_slim(photos, teachers, settings, run, resume, seed, as_json):
    """Train vgg19_slim, the perceptual network that tfvision ships, on PHOTOS (a folder, or a manifest.csv).

    It learns to answer as its teachers do. Its result, normalised, is a network for `stylize --network FILE`.

    \b
    tfvision train vgg19-slim my-photos/ --teacher vgg19.weights.h5
    tfvision train vgg19-slim my-photos/ --teacher vgg19_small.npz --teacher vgg19_block1-3.weights.h5
    tfvision stylize photo.jpg painting.jpg --network runs/vgg19-slim/vgg19_slim.npz
    """
    from tfvision.apps.vgg19_slim.training import train_vgg19_slim

    settings.update({"seed": str(seed)} if seed is not None else {})
    metrics = train_vgg19_slim(photos, teachers, settings, run, resume)
    if as_json:
        return print_json(metrics)
    for teacher, layers in metrics["correlation"].items():
        shown = "  ".join(f"{layer} {value:.3f}" for layer, value in layers.items())
        click.echo(f"correlation with {teacher} on unseen photos: {shown}")
    click.echo(f"weights  {metrics['weights']}  ({metrics['images']} photos, {metrics['seconds']:.0f} s)")
