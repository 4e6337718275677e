"""Crops of all cells on disk: written once, checked by checksum, read at random. ``FORMAT.md`` has the layout."""
