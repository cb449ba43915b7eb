"""One module a file format: decode without losing depth, and tell damage as far as the format allows."""
