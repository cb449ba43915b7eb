"""What lies on disk: memory-mapped arrays and files of tensors, each written whole or not at all, and the digests of
files and data."""
