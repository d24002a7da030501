"""Apache Beam, where it is installed: a pipeline for the options of a command line, and its run."""

import typing
from collections.abc import Callable, Sequence

from tfvision.errors import DataError, RecipeError, UserError

if typing.TYPE_CHECKING:
    import apache_beam as beam

_RUNNERS = {"--runner=DirectRunner": "--runner=FnApiRunner"}  # the same, without first fetching a program, Prism, from the network


def open_pipeline(options: Sequence[str]) -> "beam.Pipeline":
    """An empty beam.Pipeline, not yet run.

    Raises:
      UserError: Beam is not installed.
      RecipeError: there is no such runner, or an option does not fit.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError("Apache Beam is not installed: pip install 'tfvision[beam]'") from None
    try:
        return beam.Pipeline(options=PipelineOptions([_RUNNERS.get(option, option) for option in options]))
    except (ValueError, ImportError, AttributeError) as error:
        raise RecipeError(f"Beam does not take {' '.join(options)}: {error}") from None


def run_on_each(pipeline: "beam.Pipeline", items: Sequence[typing.Any], function: Callable[..., None], *arguments: typing.Any) -> None:
    """Runs `function(item, *arguments)` for each item, spread over the workers, and waits for the end.

    Raises:
      DataError: the job failed.
    """
    import apache_beam as beam

    pipeline | "items" >> beam.Create(items) | "spread" >> beam.Reshuffle() | function.__name__.strip("_") >> beam.Map(function, *arguments)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:  # runners raise many kinds, and wrap what a worker raised
        raise DataError(f"the Beam job failed: {error}; what is finished stays, run the same command again") from error
