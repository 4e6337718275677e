"""Readers of tiles, one input format a file; found by name in ``registry.READERS``."""
