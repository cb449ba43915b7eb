"""Scores and maps in, numbers out: thresholds with a promise, ranking, overlap, regions. Plain numpy."""
