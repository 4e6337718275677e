"""What belongs to nobody: files that desktops leave where somebody looked, and what a killed process was writing."""

from __future__ import annotations

from pathlib import Path

HALF_WRITTEN = ".writing"
"""How names of files end that are not whole yet."""
_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def is_litter(path: Path) -> bool:
    """Whether a file is of a Mac's Finder (also the ``._`` file beside each on foreign disks) or Windows' Explorer.

    Or one that we were writing when we were killed (``store/files.py``): whoever was killed before a folder said whose
    it is can start again.
    """
    return path.name in _NAMES or path.name.startswith("._") or is_half_written(path)


def is_half_written(path: Path) -> bool:
    """Whether a file is what somebody was writing when they were killed."""
    return path.name.startswith(".") and path.name.endswith(HALF_WRITTEN)


def is_bare(folder: Path) -> bool:
    """Whether this is a folder with nothing in it but litter."""
    return folder.is_dir() and all(is_litter(file) for file in folder.iterdir())
