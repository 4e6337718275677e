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
    name = path.name
    return name in _NAMES or name.startswith("._") or (name.startswith(".") and name.endswith(HALF_WRITTEN))


def is_bare(folder: Path) -> bool:
    """Whether this is a folder with nothing in it but litter."""
    return folder.is_dir() and all(is_litter(file) for file in folder.iterdir())
