"""The sub-commands that need torch: train and evaluate."""
