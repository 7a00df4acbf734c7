"""Files of sequences, answered without a server: JSON lines, Parquet and Arrow tables."""
