"""Paths and URLs: stores and images may be read anywhere, all else lies on this machine."""

from __future__ import annotations

import re
from pathlib import Path

from contrascope.errors import SettingsError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]+):/+(.+)")
"""A scheme has two letters at least, so that ``C:/cells`` is a path. A ``Path`` made of a URL has lost a slash."""


def is_url(path: str | Path) -> bool:
    """Whether this is the address of something that fsspec opens, such as ``s3://bucket/cells.zarr``."""
    return isinstance(path, str) and "://" in path and _URL.fullmatch(path) is not None


def local_path(path: str | Path) -> Path:
    """A path of what is written, or of what is read only here.

    Raises:
        SettingsError: It is a URL.
    """
    if url := _URL.fullmatch(str(path)):
        raise SettingsError(
            f"{url[1]}://{url[2]} is a URL. Finished stores and images are read from there; all else is read from and "
            f"written to local paths. Name one, and copy what is finished to where you want it."
        )
    return Path(path)
