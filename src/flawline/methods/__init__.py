"""The papers' methods, a file each: networks, losses and scorers; `registry` lists them. Plain torch, usable without
Kedro. Shapes: N patches or images, C channels, H x W (or h x w) pixels, s the side of a patch, P positions, D
features."""
