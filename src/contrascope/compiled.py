"""Where numba keeps what it has compiled, for the packages that use it and would not start without a place for it."""

from __future__ import annotations

import atexit
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PLACE = "NUMBA_CACHE_DIR"


def keep_compiled() -> None:
    """Name a folder of this process's own, where neither the installed packages nor the user's home can be written.

    That is so in containers and with packages that a cluster shares. Processes started from here use it too.
    """
    if _PLACE in os.environ or any(_can_be_written(place) for place in _of_numbas_own()):
        return
    try:
        own = tempfile.mkdtemp(prefix="contrascope-compiled-")
    except OSError:  # nothing can be written anywhere; most of what we do needs no compiled code
        return
    os.environ[_PLACE] = own
    atexit.register(shutil.rmtree, own, ignore_errors=True)


def _of_numbas_own() -> Iterator[Path]:
    """Where it would write: beside what it compiles, or among the user's caches."""
    yield Path(sysconfig.get_path("purelib"))
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numba"


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made there, or the folder itself can."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and os.access(there, os.W_OK)
