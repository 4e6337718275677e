"""Encoders with their mirror decoders, one a file; found by name in ``registry.ARCHITECTURES``."""
