"""The format of prepared data: TFRecord shards with an index, counts and checksums."""
