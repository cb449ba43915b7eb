"""Images in, images out: alignment, foreground, strips, patches, pseudo-defects, downsizing. Plain numpy and SciPy."""
