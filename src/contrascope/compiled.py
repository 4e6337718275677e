"""Where numba keeps what it has compiled: ours, and that of packages that would not start without a place for it."""

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
    if _PLACE in os.environ or any(_can_be_written(place) for place in _of_the_user()):
        return
    if all(_can_be_written(place) for place in _of_packages()):
        return
    try:
        own = tempfile.mkdtemp(prefix="contrascope-compiled-")
    except OSError:  # nothing can be written anywhere; most of what we do needs no compiled code
        return
    os.environ[_PLACE] = own
    atexit.register(shutil.rmtree, own, ignore_errors=True)


def _of_the_user() -> Iterator[Path]:
    """The user's caches, where numba writes if it cannot beside what it compiles."""
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numba"


def _of_packages() -> Iterator[Path]:
    """Beside what it compiles: other packages, and this one, which may be installed from a folder of its own."""
    yield Path(sysconfig.get_path("purelib"))
    yield Path(__file__).parent


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made there, or the folder itself can."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and os.access(there, os.W_OK)
