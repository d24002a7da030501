"""`tfvision serve`."""

import click

from tfvision.command_line import Number


@click.command()
@click.argument("models", default="savedmodels")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them, open to the network.")
@click.option("--rest-port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="Port of the REST API; 0: any.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=8500, show_default=True, help="Port of the gRPC API; 0: any.")
@click.option("--batching-config", help="How requests are joined to batches: a batching.config, as TensorFlow Serving takes.")
@click.option("--poll-seconds", type=Number(0.05), default=1.0, show_default=True, help="How often to look for new versions.")
@click.option("--max-request-mib", type=Number(0.001), default=64, show_default=True, help="Largest request.")
@click.option("--timeout-seconds", type=Number(0.001), default=30, show_default=True, help="Longest wait of a REST request.")
@click.option("--write-config", metavar="DIR", help="Write TensorFlow Serving's models.config, batching.config and monitoring.config there, and end.")
def serve(
    models: str,
    host: str,
    rest_port: int,
    grpc_port: int,
    batching_config: str | None,
    poll_seconds: float,
    max_request_mib: float,
    timeout_seconds: float,
    write_config: str | None,
) -> None:
    """Serve MODELS by TensorFlow Serving's protocol, REST and gRPC, until Ctrl-C.

    MODELS is a folder of exports NAME/VERSION/, one model's folder, or a models.config. A new version is loaded
    beside the old one and replaces it without a failed request.

    \b
    tfvision serve
    tfvision serve savedmodels/species --rest-port 9001
    curl http://127.0.0.1:8501/v1/models/species
    tfvision serve savedmodels --write-config docker/config    # for TensorFlow Serving: docs/deploy.md
    """
    if write_config:
        return _write_config(models, write_config)
    from tfvision.serving.server import serve as run

    run(
        models,
        lambda line: click.echo(line, err=True),
        host=host,
        rest_port=rest_port,
        grpc_port=grpc_port,
        batching=batching_config,
        poll_seconds=poll_seconds,
        limits={"max_request_bytes": int(max_request_mib * 2**20), "timeout_seconds": timeout_seconds},
    )


def _write_config(models: str, folder: str) -> None:
    from tfvision.serving.configuration import write_configuration

    result = write_configuration(models, folder)
    for line in result["left_out"]:
        click.echo(line, err=True)
    for name, versions in result["models"].items():
        click.echo(f"{name}: {', '.join(map(str, versions))}")
    kept = f" (kept: {', '.join(result['kept'])})" if result["kept"] else ""
    click.echo(f"{result['path']}{kept}")
