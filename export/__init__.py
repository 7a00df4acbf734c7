"""From a checkpoint to a verified bundle. Imports models and service; neither imports it."""
