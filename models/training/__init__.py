"""The training loop: runs, their state, what they tell and leave behind."""
