"""The forms in which requests and answers travel: JSON, Arrow, Open Inference Protocol."""
