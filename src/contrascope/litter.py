"""What desktops leave in folders that somebody looked at; it belongs to nobody."""

from __future__ import annotations

from pathlib import Path

_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def is_litter(path: Path) -> bool:
    """Whether a file is of a Mac's Finder (also the ``._`` file beside each on foreign disks) or Windows' Explorer."""
    return path.name in _NAMES or path.name.startswith("._")


def is_bare(folder: Path) -> bool:
    """Whether this is a folder with nothing in it but litter."""
    return folder.is_dir() and all(is_litter(file) for file in folder.iterdir())
