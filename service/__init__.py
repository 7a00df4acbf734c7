"""The server: bundles, engine and HTTP. Never imports torch, models or export."""
