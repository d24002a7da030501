"""`tfvision data ...`."""

import contextlib
import typing

import click

from tfvision.command_line import NUMBER, Number, comma_separated, print_json


@click.group()
def data() -> None:
    """Make and look after data sets: import, check, prepare, specimens."""


@data.command()
@click.argument("out")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Other seeds draw other animals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def specimens(out: str, seed: int, as_json: bool) -> None:
    """Draw the built-in teaching set into the folder OUT: photos, manifest.csv and an overview.

    \b
    tfvision data specimens my-specimens
    """
    from tfvision.data.manifest import read_csv
    from tfvision.data.specimens import write_specimens
    from tfvision.progress import progress_bar

    bar = []

    def progress(done: int, total: int) -> None:
        bar[:] = bar or [progress_bar("drawing specimens", total)]
        bar[0].advance(1)

    folder = write_specimens(out, seed=seed, progress=progress)
    for shown in bar:
        shown.close()
    manifest = read_csv(folder / "manifest.csv")
    summary = {"out": str(folder), "images": len(manifest), "classes": len(manifest.taxonomy())}
    if as_json:
        return print_json(summary)
    click.echo(f"{summary['images']} drawings of {summary['classes']} species in {folder}; look at {folder}/overview.jpg")
    click.echo(f"next: tfvision train species {folder} --recipe specimens")


@data.command("import")
@click.argument("source")
@click.argument("out")
@click.option("--photos", metavar="FOLDER", help="Take the photos from this folder instead of the web.")
@click.option("--download/--no-download", "is_downloaded", default=True, help="--no-download writes the lists only.  [default: download]")
@click.option("--requests-per-second", type=Number(0, is_open=True), metavar="N", help="Photos that are asked for in a second at one host. [default: 10]")
@click.option("--connections-per-host", type=click.IntRange(1, 64), metavar="N", help="Photos that are asked for at once at one host. [default: 4]")
@click.option("--retry-failed", is_flag=True, help="Try photos again that failed for good in an earlier run.")
@click.option("--allow-private", is_flag=True, help="Also ask addresses of internal networks and of this machine, which may do harm; link-local ones never.")
@click.option(
    "--size",
    type=click.Choice(["original", "large", "medium", "small"]),
    default="large",
    show_default=True,
    help="Of iNaturalist's photos: 2048, 1024, 500 or 240 px.",
)
@click.option(
    "--licence", "--license", "licences", multiple=True, metavar="NAME", help="Keep photos of this licence, such as CC0, CC-BY, CC-BY-NC; repeatable."
)
@click.option("--research-grade", "is_research_grade", is_flag=True, help="Keep what the source calls research grade.")
@click.option("--within", multiple=True, metavar="TAXON", help="Keep a taxon of any rank, such as Insecta; repeatable.")
@click.option("--country", "countries", multiple=True, metavar="NAME", help="Keep a country as the source writes it, such as US; repeatable.")
@click.option("--from", "date_from", default="", metavar="DATE", help="Keep observations from this date on: YYYY, YYYY-MM or YYYY-MM-DD.")
@click.option("--to", "date_to", default="", metavar="DATE", help="Keep observations up to this date, which is included.")
@click.option("--max-per-species", type=click.IntRange(1), metavar="N", help="Keep N photos of a species at most, by chance, observations whole.")
@click.option("--min-per-species", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Leave out species with fewer photos.")
@click.option("--keep-gaps", "keeps_gaps", is_flag=True, help="Keep lineages with a missing rank. GBIF has no class for most fishes.")
@click.option(
    "--detection-confidence", type=NUMBER, default=0.2, show_default=True, metavar="SHARE", help="Keep a detector's boxes of at least this confidence."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice of --max-per-species.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(
    source: str,
    out: str,
    photos: str | None,
    is_downloaded: bool,
    requests_per_second: float | None,
    connections_per_host: int | None,
    retry_failed: bool,
    allow_private: bool,
    size: str,
    max_per_species: int | None,
    as_json: bool,
    **filters: typing.Any,
) -> None:
    """Read SOURCE, a download of GBIF or iNaturalist or photos with boxes, and write its photos and manifest.csv into the folder OUT.

    SOURCE is a Darwin Core archive (zip or folder), iNaturalist's export of observations, its open data or a
    competition's JSON, or a CSV with a column of addresses; camera traps' COCO, a Camtrap DP package or MegaDetector's JSON;
    an export of Label Studio, CVAT or YOLO. OUT/photos.csv lists what is wanted, OUT/manifest.csv what
    is there, OUT/import.json what was dropped and why. After an interruption the same command goes on where it was.

    \b
    tfvision data import 0001234-240101.zip my-birds --within Aves --licence CC0 --licence CC-BY
    tfvision data import observations.csv my-finds --no-download
    tfvision data import train.json my-photos --photos train_val_images/
    tfvision data import megadetector.json my-animals --photos card/
    tfvision data check my-birds
    """
    from tfvision.data.downloads.downloads import DownloadSettings
    from tfvision.data.imports.importing import import_photos
    from tfvision.data.imports.selecting import Filters
    from tfvision.progress import progress_bar

    filters = Filters(**filters, max_per_species=max_per_species or 0)
    pace = {"requests_per_second": requests_per_second, "connections_per_host": connections_per_host}
    pace = {name: value for name, value in pace.items() if value is not None}
    download = DownloadSettings(is_failed_retried=retry_failed, is_internal_allowed=allow_private, **pace)
    with contextlib.ExitStack() as stack:
        bars, last = {}, {}

        def progress(label: str, done: int, total: int) -> None:
            stage = label.partition(" (")[0]
            if stage not in bars:
                stack.close()
                # Photos tell in their label how long they take.
                bars[stage] = stack.enter_context(progress_bar(stage, total, done, tells_time=label == stage))
            bars[stage].advance(done - last.get(stage, done), label.removeprefix(stage).strip())
            last[stage] = done

        report = import_photos(source, out, filters, photos, is_downloaded, size, download, progress)
    if as_json:
        return print_json({"out": out, **report})
    _show_import(out, report, is_downloaded)


def _show_import(out: str, report: dict[str, typing.Any], is_downloaded: bool) -> None:
    kept = report["kept"]
    click.echo(f"source    {report['source']}  ({report['kind']})")
    boxes = f", {kept['boxes']} boxes in {kept['rows']} of {report['read']['rows']} rows" if "boxes" in kept else ""
    click.echo(f"kept      {kept['photos']} of {report['read']['photos']} photos, {kept['observations']} observations, {kept['species']} species{boxes}")
    for reason, count in report["dropped"].items():
        names = report["examples"].get(reason)
        click.echo(f"dropped   {count}: {reason}" + (f", such as {', '.join(names[:3])}" if names else ""))
    if any(reason.removeprefix("no ") in ("kingdom", "phylum", "class", "order", "family") for reason in report["dropped"]):
        click.echo("hint      --keep-gaps keeps lineages with a missing rank")
    if report["not_read"]:
        click.echo(f"not read  {', '.join(report['not_read'])}")
    if "kingdom" not in report["ranks"]:
        more = "; iNaturalist's export has more where taxon_kingdom_name and the like are ticked" if report["kind"] == "inaturalist-export" else ""
        click.echo(f"ranks     {', '.join(report['ranks'])} only{more}")
    if not is_downloaded:
        click.echo(f"list      {out}/photos.csv")
        click.echo("next      the same command without --no-download, or with --photos FOLDER")
        return
    found = report["photos"]
    click.echo(f"photos    {found['done']} in {out}" + (f"; {found['failed']} could not be had, see {out}/downloads.csv" if found["failed"] else ""))
    if wrong := found.get("wrong_boxes", {}).get("rows"):
        click.echo(f"boxes     {wrong} rows left out whose box does not fit the photo, such as {found['wrong_boxes']['examples'][0]}")
    click.echo(f"next      tfvision data check {out}")


@data.command()
@click.argument("source")
@click.argument("out")
@click.option(
    "--size",
    type=click.IntRange(1),
    metavar="PX",
    help="Bound of the longer side; up to twice as much where a box needs it. [default: 1056, of which the crop view keeps 299]",
)
@click.option("--quality", type=click.IntRange(1, 95), help="Of JPEG, of photos that are encoded anew. [default: 90]")
@click.option("--shards", type=click.IntRange(1), metavar="N", help="Files that the photos go into. [default: one for each 512]")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads that decode and encode. [default: one a core]")
@click.option("--ranks", callback=comma_separated, help="Label columns, or levels of folders, coarsest first. [default: from the source]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides which photos share a shard.")
@click.option("--runner", metavar="NAME", help="Write the shards by an Apache Beam pipeline on this runner, such as DirectRunner.")
@click.option("--runner-option", "runner_options", multiple=True, metavar="KEY=VALUE", help="An option of Beam, such as direct_num_workers=2; repeatable.")
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prepare(
    source: str,
    out: str,
    ranks: tuple[str, ...] | None,
    seed: int,
    runner: str | None,
    runner_options: tuple[str, ...],
    resume: bool,
    as_json: bool,
    **settings: int | None,
) -> None:
    """Write the photos of SOURCE, upright and of bounded size, as TFRecord shards with checksums into the folder OUT.

    SOURCE is a folder of class folders or a manifest.csv; OUT takes its place in every other command.

    \b
    tfvision data prepare my-photos/ prepared/
    tfvision data prepare my-photos/ prepared/ --size 1600 --quality 95
    tfvision train species prepared/
    """
    from tfvision.data.preparing.preparing import prepare as prepare_photos
    from tfvision.progress import progress_bar

    if runner_options and not runner:
        raise click.UsageError("--runner-option is for --runner")
    options = (f"--runner={runner}", *(f"--{option}" for option in runner_options)) if runner else None
    settings = {name: value for name, value in settings.items() if value is not None}
    with contextlib.ExitStack() as stack:
        bar, last = None, None

        def progress(done: int, total: int) -> None:
            nonlocal bar, last
            bar = bar or stack.enter_context(progress_bar("preparing photos", total, done))
            bar.advance(done - (done if last is None else last))
            last = done

        result = prepare_photos(source, out, **settings, ranks=ranks, seed=seed, is_resumed=resume, progress=progress, runner_options=options)
    for one in result["broken"]:
        click.echo(f"left out: {one['reason']}", err=True)
    if as_json:
        return print_json(result)
    failed = f"; {result['failed']} could not be read, see {out}/index.json" if result["failed"] else ""
    click.echo(f"{result['images']} photos of {result['classes']} classes in {result['shards']} shards, {result['bytes'] / 1e6:,.1f} MB, in {out}{failed}")
    click.echo(f"next: tfvision train species {out}")


@data.command()
@click.argument("source")
@click.option("--out", metavar="DIR", help="Folder for report.html and report.json. [default: NAME-check, of the source's name]")
@click.option("--fix", metavar="CSV", help="Also write a cleaned manifest: no broken photo, no copies, no contradictory labels, no group across splits.")
@click.option("--ranks", callback=comma_separated, help="Label columns, or levels of folders, coarsest first. [default: from the source]")
@click.option("--min-size", type=click.IntRange(1), default=64, show_default=True, metavar="PX", help="Photos whose shorter side is below are tiny.")
@click.option(
    "--near",
    type=click.IntRange(0, 12),
    default=6,
    show_default=True,
    metavar="BITS",
    help="Bits of 64 in which the perceptual hashes of near duplicates may differ.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(source: str, out: str | None, fix: str | None, ranks: tuple[str, ...] | None, min_size: int, near: int, as_json: bool) -> None:
    """Look through the photos of SOURCE for what would spoil a training, and write a report.

    Unreadable, truncated, tiny and blank photos; copies and near duplicates; one photo under two labels; groups and copies
    that lie across splits; class sizes, resolutions, formats. Stopped, the same command goes on where it was.

    \b
    tfvision data check my-photos/
    tfvision data check my-photos/manifest.csv --out report --fix my-photos/clean.csv
    tfvision data check prepared/                       # also compares every shard with its checksum
    """
    from pathlib import Path

    from tfvision.data.checks.checking import CheckSettings, check_source, counts
    from tfvision.data.checks.cleaning import write_cleaned
    from tfvision.evaluation.data_report import headline, write_data_report
    from tfvision.progress import progress_bar

    out = Path(out or f"{Path(source).resolve().with_suffix('').name}-check")
    with contextlib.ExitStack() as stack:
        bars, seen = {}, {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = stack.enter_context(progress_bar(what, total, done))
            bars[what].advance(done - seen.get(what, done))
            seen[what] = done
            if done == total:
                bars[what].close()

        checked = check_source(source, out, ranks, CheckSettings(min_size_px=min_size, near_distance=near), progress)
    fixed = write_cleaned(checked, fix) if fix else None
    report = write_data_report(out, checked, fixed)
    result = checked.result()
    if as_json:
        classes = result["class_sizes"]["classes"]
        return print_json({"source": source, "images": result["images"], "classes": classes, **counts(checked), "report": str(report), "fix": fixed})
    click.echo(headline(result))
    for kind, count in counts(checked).items():
        click.echo(f"  {kind.replace('_', ' '):<22}{count or 'none'}")
    if fixed:
        click.echo(f"cleaned   {fixed['manifest']} keeps {fixed['images']} photos; what changed, and why: {fixed['changes']}")
    click.echo(f"report    {report}")
