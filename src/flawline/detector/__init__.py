"""The portable detector: its file, how it scores and judges, and how it is served."""
