"""Memory that was freed is there for the next array, and a user's own variables have the last word."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALLOCATE = """
import os, resource, sys
sys.path[:0] = {path!r}
from contrascope.allocator import keep_freed_memory
import numpy as np
told = keep_freed_memory()
def fill():
    for _ in range(50):
        np.ones(2**20)  # 8 MiB, 2,048 pages
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def told_and_faults(**variables: str) -> tuple[str, int]:
    """What a process of its own says of itself."""
    script = ALLOCATE.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    told, faults = done.stdout.split()
    return told, int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that is told")
def test_freed_memory_is_used_again() -> None:
    told, faults = told_and_faults()
    if told == "False":
        pytest.skip("this C library has no mallopt")
    assert faults < 50 * 2048 / 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that is told")
def test_a_users_own_variables_have_the_last_word() -> None:
    told, _ = told_and_faults(MALLOC_TRIM_THRESHOLD_="100000")
    assert told == "False"
