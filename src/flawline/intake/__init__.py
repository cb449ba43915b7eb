"""Folders in, a manifest out: layouts, codecs, annotations, masks, measuring, splits, near-duplicates, registration,
and the embedded examples."""
