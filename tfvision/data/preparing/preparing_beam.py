"""Preparing as an Apache Beam pipeline: each worker writes whole shards, the same bytes as on one machine.

The photos and the folder must lie where every worker finds them under the same name.
"""

from collections.abc import Callable, Sequence

from tfvision.data.beam import open_pipeline, run_on_each
from tfvision.data.preparing.encoded_photos import encode_photo
from tfvision.data.preparing.preparing import ShardJob, write_shard


def shard_writer(options: Sequence[str]) -> Callable[[Sequence[ShardJob], int, Callable[[int], None]], None]:
    """A function (jobs, workers, on_photos) that writes shards on a Beam runner; `workers` is the runner's business.

    Raises:
      UserError, RecipeError: as `open_pipeline`.
    """
    pipeline = open_pipeline(options)

    def write_shards(jobs, workers, on_photos):
        if jobs:
            run_on_each(pipeline, jobs, _write_shard)
        on_photos(sum(len(job.records) for job in jobs))

    return write_shards


def _write_shard(job):
    write_shard(job, (encode_photo(record, job.settings) for record in job.records))
