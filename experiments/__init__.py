"""The papers' experiments, repeated and taken further; each module runs alone."""
