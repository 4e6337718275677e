"""Slices of a batch on a CPU, each worked on by one thread from begin to end.

Threads that share one operation wait for each other after every operation; threads with a slice each do not.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch

CELLS_AT_ONCE = 32
"""What an operation or a layer writes must still be in the cache when the next one reads it."""


def slice_by_slice(work: Callable[[slice], None], cells: int) -> None:
    """Have all cells worked on, at most 32 at a time, by as many threads as torch has.

    Args:
        work: Told which cells; must not depend on the order of slices, nor on how many they are.
        cells: How many there are.
    """
    threads = torch.get_num_threads()
    at_once = max(1, min(CELLS_AT_ONCE, math.ceil(cells / threads)))
    slices = [slice(start, start + at_once) for start in range(0, cells, at_once)]
    if threads == 1 or len(slices) < 2:
        for few in slices:
            work(few)
        return
    inference = torch.is_inference_mode_enabled()

    def alike(few: slice) -> None:
        with torch.inference_mode(inference):  # each thread has modes of its own
            work(few)

    deque(_threads(threads).map(alike, slices), maxlen=0)


def alone() -> None:
    """Have this thread compute by itself; what comes out then does not depend on the number of threads either."""
    torch.get_num_threads()  # torch sets a thread up when first asked, and would then undo what is set here
    torch.set_num_threads(1)


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    """So many threads, which is as many as torch has in the one that asks."""
    threads, all_there = ThreadPoolExecutor(number, "contrascope-slice", initializer=alone), Barrier(number, timeout=60)
    deque(threads.map(lambda _: all_there.wait(), range(number)), maxlen=0)
    torch.set_num_threads(number)  # what was set last, by anyone, is what threads of others will start with
    return threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has none of its parent's threads
