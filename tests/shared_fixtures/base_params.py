"""What conf/base says, for tests that take a parameter or two in their own way: BASE.cae.patches.but(size=32)."""

from pathlib import Path

from flawline.conf import read_parameters, read_tree

PROJECT = Path(__file__).parents[2]
BASE = read_parameters(PROJECT)
TREE = read_tree(PROJECT)  # the same as it stands in conf, not checked
