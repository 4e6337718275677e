"""What a GPU would be asked for, seen on a CPU: operations on 16-bit pixels, and the order of its sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contrascope.embedding.spaces import Spaces
from contrascope.models.precision import repeatable
from contrascope.store.store import CropStore
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

CAN = {"select", "slice", "view", "split", "lift_fresh", "detach", "to", "_to_copy"}
"""What CUDA does with 16-bit unsigned integers, as far as we ask: look at a part of them, and make others of them."""


class Asked(TorchDispatchMode):
    """Notes the operations on 16-bit unsigned integers."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(isinstance(x, torch.Tensor) and x.dtype == torch.uint16 for x in args):
            self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"gain_spread": 0.2}, {"normalization": "paper"}], ids=str)
def test_no_gpu_is_asked_for_what_it_cannot_do_with_16_bits(
    store: CropStore, train: Callable[..., Run], tmp_path: Path, settings: dict[str, Any]
) -> None:
    with Asked() as asked:
        run = train(store, tmp_path / "run", **settings)
        rows = np.arange(40)
        batch = Batch(torch.from_numpy(store.read(rows)), torch.from_numpy(store.labels[rows]), torch.from_numpy(rows))
        Spaces(run, store, baselines=True, uncertainty=True, error=True)._of(batch)
        run.reconstruct(store, rows[:4])
    assert "_to_copy" in asked.names
    assert asked.names <= CAN


def test_convolutions_of_a_gpu_sum_in_one_order_and_in_all_bits_and_users_have_their_own_back() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), repeatable():
        assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)
        raise ZeroDivisionError
    assert (cudnn.deterministic, cudnn.allow_tf32) == before
