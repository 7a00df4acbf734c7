"""The folder of bundles that are served: what lies there, what is loaded, and how that changes."""
