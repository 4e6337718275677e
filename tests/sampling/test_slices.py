"""Work on slices: every cell once, in the modes of whoever asks, and nothing that fails is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch

from contrascope.sampling.slices import CELLS_AT_ONCE, _threads, slice_by_slice


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("cells", [0, 1, CELLS_AT_ONCE, 2 * CELLS_AT_ONCE + 1, 7 * CELLS_AT_ONCE])
def test_every_cell_is_worked_on_once(threads: int, cells: int) -> None:
    seen = torch.zeros(cells)

    def work(few: slice) -> None:
        assert len(seen[few]) <= CELLS_AT_ONCE
        seen[few] += 1

    slice_by_slice(work, cells)
    assert (seen == 1).all()


def test_a_thread_computes_alone_and_leaves_the_callers_threads_as_they_are(threads: int) -> None:
    found = []
    slice_by_slice(lambda _: found.append((torch.get_num_threads(), threading.current_thread())), 4 * CELLS_AT_ONCE)
    assert torch.get_num_threads() == threads
    assert {number for number, _ in found} == {1}
    assert (threading.main_thread() in {thread for _, thread in found}) == (threads == 1)


def test_threads_that_somebody_starts_later_have_as_many_as_before(threads: int) -> None:
    _threads.cache_clear()  # they are set up once
    slice_by_slice(lambda _: None, 4 * CELLS_AT_ONCE)
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [threads]


@pytest.mark.parametrize("inference", [True, False])
def test_what_infers_goes_on_inferring(threads: int, inference: bool) -> None:
    with torch.inference_mode(inference):
        seen = torch.empty(3 * CELLS_AT_ONCE)

        def work(few: slice) -> None:
            seen[few] = torch.ones(())

        slice_by_slice(work, len(seen))
        assert seen.is_inference() == inference
    assert (seen == 1).all()


def test_no_thread_is_without_a_slice(threads: int) -> None:
    sizes: list[int] = []
    slice_by_slice(lambda few: sizes.append(few.stop - few.start), CELLS_AT_ONCE)
    assert len(sizes) == threads and max(sizes) - min(sizes) <= 1


def test_an_error_reaches_the_caller(threads: int) -> None:
    def work(few: slice) -> None:
        raise ValueError(f"no {few.start}")

    with pytest.raises(ValueError, match="no 0"):
        slice_by_slice(work, 3 * CELLS_AT_ONCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        slice_by_slice(lambda _: None, 2 * CELLS_AT_ONCE)
        child = os.fork()
        if not child:
            signal.alarm(60)  # it would wait for ever for threads that its parent has
            slice_by_slice(lambda _: None, 2 * CELLS_AT_ONCE)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)
