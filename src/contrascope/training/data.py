"""The two streams a trainer draws from: balanced batches to train on, held-out cells to validate on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from torch.utils.data import IterableDataset

from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import BalancedBatches, in_order
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch


class TrainingStream(IterableDataset):
    """Epoch after epoch of balanced batches. What comes next follows from the steps already taken, and nothing else.

    Args:
        store: The cells.
        sampler: Which rows share a batch.
        steps_taken: How many steps the training has taken, whenever a pass begins: in the midst of an epoch, the
            pass is the rest of it.
    """

    def __init__(self, store: CropStore, sampler: BalancedBatches, steps_taken: Callable[[], int]):
        self.store, self.sampler, self.steps_taken = store, sampler, steps_taken

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batch = divmod(self.steps_taken(), len(self.sampler))
        return batches(self.store, islice(self.sampler.epoch(epoch), batch, None))


class ValidationStream(IterableDataset):
    """The same cells in the same order, at every validation.

    Args:
        store: The cells.
        rows: Held-out rows.
        batch_size: Cells a batch.
    """

    def __init__(self, store: CropStore, rows: np.ndarray, batch_size: int):
        self.store, self.rows, self.batch_size = store, rows, batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return batches(self.store, in_order(self.rows, self.batch_size))
