"""What a person said of inspected images: the table that the page of an inspection saves, to be read again."""

GOOD, DEFECTIVE = DECISIONS = ("good", "defective")  # what an image is said to be; empty: nobody has said
COLUMNS = ("image", "sha256", "verdict", "score", "decision", "note")  # of the csv, in this order
"""``image`` and ``sha256`` are those of the verdicts, and say together which file is meant; ``score`` is empty of an
image that was not judged; ``note`` is free text. UTF-8, commas, quotes where they are needed, a row an image."""
