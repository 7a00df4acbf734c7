"""One's own Parquet files as a task to train on."""
