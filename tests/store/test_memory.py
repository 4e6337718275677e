"""Memory is used again once an array is gone, and never while anybody can still see it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrascope.store import memory
from contrascope.store.memory import _KEPT, _LENT, Memory

MIB, BYTES = 2**20, np.dtype("uint8")
SEEN_AS: dict[str, Callable[[np.ndarray], Any]] = {
    "the array": lambda array: array,
    "a view of a view": lambda array: array[1:][::2],
    "another shape and type": lambda array: array.reshape(2, -1)[1].view(np.uint16),
    "a memoryview": lambda array: memoryview(array)[5:],
    "a buffer": lambda array: np.frombuffer(array, np.uint8, 100, 7),
    "a tensor": torch.from_numpy,
    "a view of a tensor": lambda array: torch.from_numpy(array).view(4, -1)[2, ::3],
    "a detached tensor": lambda array: torch.from_numpy(array).detach().narrow(0, 9, 99),
    "dlpack": torch.from_dlpack,
    "a tensor's array": lambda array: torch.from_numpy(array)[3:].numpy(),
}


def filled(memory: Memory, size: int, value: int) -> np.ndarray:
    array = memory.empty((size,), BYTES)
    array[:] = value
    return array


@given(data=st.data())
def test_what_is_kept_never_changes_however_it_is_seen(data: st.DataObject) -> None:
    ours, kept = Memory(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_LENT", range(1, MIB))
        for value in range(1, data.draw(st.integers(2, 30))):
            size = data.draw(st.sampled_from([512, 520, 1024]))
            kept[value] = SEEN_AS[data.draw(st.sampled_from(sorted(SEEN_AS)))](filled(ours, size, value))
            if data.draw(st.booleans()):
                del kept[data.draw(st.sampled_from(sorted(kept)))]
            for expected, seen in kept.items():
                assert set(np.asarray(seen).tobytes()) == {expected}


@pytest.mark.parametrize("how", SEEN_AS)
def test_memory_is_used_again_when_the_last_view_of_it_is_gone(how: str) -> None:
    ours = Memory()
    array = filled(ours, MIB, 1)
    where, seen = array.ctypes.data, SEEN_AS[how](array)
    del array
    assert ours.empty((MIB,), BYTES).ctypes.data != where
    del seen
    gc.collect()
    assert where in {ours.empty((MIB,), BYTES).ctypes.data for _ in range(2)}


def test_an_array_has_the_shape_and_type_that_were_asked_for_and_can_be_written() -> None:
    ours = Memory()
    for shape, dtype in (((2, 3, 400, 500), "uint16"), ((700, 800), "float32"), ((0, 5), "uint8"), ((3,), "uint16")):
        array = ours.empty(shape, np.dtype(dtype))
        array[...] = 7
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.dtype(dtype), True)
        assert (array == 7).all()


def test_memory_stays_flat_over_many_batches_and_little_is_kept_at_their_end() -> None:
    ours, size = Memory(), 2 * MIB
    tracemalloc.start()
    try:
        for value in range(200):
            held = [filled(ours, size - 1000 * (value % 3), value) for _ in range(4)]
        assert tracemalloc.get_traced_memory()[1] < 9.1 * size
        held = [filled(ours, size, value) for value in range(30)]
        del held
        assert tracemalloc.get_traced_memory()[0] < (_KEPT + 0.1) * size
        del ours
        assert tracemalloc.get_traced_memory()[0] < 0.1 * size
    finally:
        tracemalloc.stop()


def test_an_array_much_smaller_than_the_memory_that_is_free_does_not_hold_all_of_it() -> None:
    ours = Memory()
    filled(ours, 8 * MIB, 1)
    tracemalloc.start()
    try:
        small = filled(ours, MIB, 2)
        assert tracemalloc.get_traced_memory()[0] < 1.1 * MIB
        assert small.sum() == 2 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [_LENT.start - 1, _LENT.stop])
def test_what_is_small_or_huge_is_not_kept(size: int) -> None:
    assert Memory().empty((size,), BYTES).flags.owndata


def test_threads_that_ask_and_let_go_do_not_get_each_others_memory() -> None:
    ours = Memory()

    def work(value: int) -> bool:
        sound = True
        for _ in range(50):
            arrays = [filled(ours, MIB, value) for _ in range(2)]
            sound &= all(bool((array == value).all()) for array in arrays)
        return sound

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(1, 7)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_writes_into_memory_of_its_own() -> None:
    ours = Memory()
    mine = filled(ours, MIB, 1)
    filled(ours, MIB, 2)
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    child = fork.Process(target=lambda: there.send(int(filled(ours, MIB, 3).sum()) + int(mine.sum())))
    child.start()
    assert here.poll(60)
    assert here.recv() == 4 * MIB
    child.join()
    assert (mine == 1).all()
    assert (ours.empty((MIB,), BYTES) == 2).all()
