"""Torch side: architectures, tasks, training, checkpoints. Knows nothing of ONNX or HTTP."""
