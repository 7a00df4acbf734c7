"""Sparse attention: patterns, attention over their connections, and what they can reach."""
