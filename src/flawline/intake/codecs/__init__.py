"""One module for each file format: it decodes without losing depth, and finds damage as far as the format allows."""
