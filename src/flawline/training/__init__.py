"""One training loop: windows, objectives, checkpoints, and the machine under it."""
