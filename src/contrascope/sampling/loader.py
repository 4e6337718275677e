"""Batches from a store, read ahead: while a model works on one, threads fetch the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from contrascope.store.images import Asked
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

READ_AHEAD = 4
"""Batches that are on their way at any time."""


def batches(store: CropStore, rows: Iterable[np.ndarray]) -> Iterator[Batch]:
    """A batch of raw pixels for each array of rows, in order.

    Args:
        store: The cells.
        rows: (B,) row numbers of each batch.

    Yields:
        Batches whose images are in the store's dtype; a transform makes them fit for a model.
    """
    labels = store.labels
    waiting: deque[tuple[np.ndarray, Asked]] = deque()
    for wanted in rows:
        waiting.append((wanted, store.ask(wanted)))
        if len(waiting) > READ_AHEAD:
            yield _batch(store, labels, *waiting.popleft())
    while waiting:
        yield _batch(store, labels, *waiting.popleft())


def _batch(store: CropStore, labels: np.ndarray, rows: np.ndarray, asked: Asked) -> Batch:
    images = store.receive(asked)
    return Batch(torch.from_numpy(images), torch.from_numpy(labels[rows]), torch.from_numpy(np.asarray(rows)))
