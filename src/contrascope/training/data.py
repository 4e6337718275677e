"""The two streams a trainer draws from: balanced batches to train on, held-out cells to validate on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from torch.utils.data import IterableDataset

from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import BalancedBatches, in_order
from contrascope.store.store import CropStore
from contrascope.vocabulary import WHOLE, Batch, Share


class TrainingStream(IterableDataset):
    """Epoch after epoch of balanced batches. What comes next follows from the steps already taken, and nothing else.

    Args:
        store: The cells.
        sampler: Which rows share a batch.
        steps_taken: How many steps the training has taken, whenever a pass begins: in the midst of an epoch, the
            pass is the rest of it.
        share: Which part of each batch is read here.
    """

    def __init__(
        self, store: CropStore, sampler: BalancedBatches, steps_taken: Callable[[], int], share: Share = WHOLE
    ):
        self.store, self.sampler, self.steps_taken, self.share = store, sampler, steps_taken, share

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batch = divmod(self.steps_taken(), len(self.sampler))
        rest = islice(self.sampler.epoch(epoch), batch, None)
        return batches(self.store, (rows[self.share.places(len(rows))] for rows in rest))


class ValidationStream(IterableDataset):
    """The same cells in the same order, at every validation. It has no length, as a process may get no batch at all.

    Args:
        store: The cells.
        rows: Held-out rows.
        batch_size: Cells a batch.
        share: Whole batches are dealt out in turn; which of them are read here.
    """

    def __init__(self, store: CropStore, rows: np.ndarray, batch_size: int, share: Share = WHOLE):
        self.store, self.rows, self.batch_size, self.share = store, rows, batch_size, share

    def __iter__(self) -> Iterator[Batch]:
        mine = islice(in_order(self.rows, self.batch_size), self.share.rank, None, self.share.of)
        return batches(self.store, mine)
