"""The two streams a trainer draws from: balanced batches to train on, held-out cells to validate on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import IterableDataset

from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import BalancedBatches, in_order
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch


class TrainingStream(IterableDataset):
    """Epoch after epoch of balanced batches; each pass over it is the next epoch.

    Args:
        store: The cells.
        sampler: Which rows share a batch.
    """

    def __init__(self, store: CropStore, sampler: BalancedBatches):
        self.store, self.sampler, self.epoch = store, sampler, 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        return batches(self.store, self.sampler.epoch(self.epoch))


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
