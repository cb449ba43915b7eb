"""What lies on disk: memory-mapped arrays, tensors, digests; each whole or not at all."""
