"""Folders in: layouts, annotations, masks, codecs, the manifest with its splits, near-duplicates, registration."""
