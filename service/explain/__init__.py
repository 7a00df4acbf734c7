"""What every token changes: answers without each of them in turn."""
