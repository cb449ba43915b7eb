"""Photographs of good parts in, a defect detector that a quality engineer can trust out."""

__version__ = "0.1.0"
