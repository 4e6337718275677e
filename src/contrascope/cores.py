"""How many cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Those that a job was given, where the system says so; else those of the machine."""
    given = getattr(os, "sched_getaffinity", None)
    return len(given(0)) if given is not None else os.cpu_count() or 1
