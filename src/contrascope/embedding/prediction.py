"""Cells through the network by Lightning's predict, on one device or several, each with a run of chunks of its own.

Processes share nothing but the folder that they write into. The first of them finishes it when all are through, and
none goes on before that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta

import lightning as L
import numpy as np
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from contrascope.embedding.cell_encoder import CellEncoder
from contrascope.errors import StoreError, first_few
from contrascope.models.precision import device_type, repeatable
from contrascope.progress import report
from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import in_order
from contrascope.store.store import CropStore
from contrascope.training.distributed import ALONE, Environment, World
from contrascope.training.quiet import quietly
from contrascope.vocabulary import Batch

BATCH_SIZE = 256
"""Cells that are read together: few enough for their pixels to be given memory that is used again."""
PATIENCE = timedelta(days=1)
"""How long processes that are through wait for those that are not: machines differ, and 31 million cells take hours."""
BEGUN = 1
"""Batches that threads may work on ahead of the one that is waited for."""
Keep = Callable[[int, dict[str, np.ndarray]], None]


def predict(
    spaces: CellEncoder,
    store: CropStore,
    chunks: dict[int, range],
    *,
    keep: Keep,
    finish: Callable[[], None],
    world: World = ALONE,
) -> None:
    """Embed chunks of rows.

    Args:
        spaces: What is wanted of each cell.
        store: The cells.
        chunks: Number of a chunk -> its rows.
        keep: Called with the number of a chunk and what was found of its rows, in their order.
        finish: Called once, by the first process, when every chunk is kept.
        world: This process among those that share the chunks; they have joined.

    Raises:
        StoreError: Cells come out as no numbers.
        KeyboardInterrupt: Ctrl-C.
    """
    module, threads = _Prediction(spaces, store, chunks, keep), torch.get_num_threads()
    with quietly(), repeatable(), torch.random.fork_rng(devices=[]):
        trainer = _trainer(world)
        try:
            trainer.predict(module, return_predictions=False)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        finally:
            spaces.close()
            torch.set_num_threads(threads)
        # Not in a hook of the module: a process that has no chunk has no hooks called.
        trainer.strategy.barrier("every chunk is kept")
        if trainer.is_global_zero:
            finish()
        trainer.strategy.barrier("finished")


def _trainer(world: World) -> L.Trainer:
    return L.Trainer(
        accelerator=device_type(),
        devices=world.devices,
        num_nodes=world.nodes,
        strategy="auto" if world.size == 1 else DDPStrategy(),
        # Of itself, Lightning would take any job of SLURM for one whose tasks share the work.
        plugins=[LightningEnvironment() if world.size == 1 else Environment(world)],
        precision="32-true",  # where numbers are rounded, the spaces say themselves
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
    )


class _Prediction(L.LightningModule):
    """Lightning's view of it: which cells are this rank's, and what is done with a batch of them."""

    def __init__(self, spaces: CellEncoder, store: CropStore, chunks: dict[int, range], keep: Keep):
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer chunks may be left than processes
        self.spaces, self.store, self.chunks, self.keep = spaces, store, chunks, keep
        self._parts: list[dict[str, np.ndarray]] = []
        self._begun: deque[tuple[Tensor, Callable[[], dict[str, Tensor]]]] = deque()

    def predict_dataloader(self) -> DataLoader:
        """The cells of this rank's chunks."""
        numbers = np.array_split(list(self.chunks), self.trainer.world_size)[self.trainer.global_rank]
        self._mine = iter([(int(number), self.chunks[number]) for number in numbers])
        self._cells = sum(len(self.chunks[number]) for number in numbers)
        self._done, self._chunk = 0, next(self._mine, None)
        return DataLoader(_Stream(self.store, [self.chunks[number] for number in numbers]), batch_size=None)

    def predict_step(self, batch: Batch, _: int) -> None:
        """Begin a batch, and finish the one before it."""
        if self.trainer.received_sigterm:  # Lightning's loop of predictions does not look
            raise SystemExit
        self._begun.append((batch.rows, self.spaces.begin(batch)))
        if len(self._begun) > BEGUN:
            self._finish(*self._begun.popleft())

    def on_predict_epoch_end(self) -> None:
        """Finish what is begun."""
        while self._begun:
            self._finish(*self._begun.popleft())

    def _finish(self, rows: Tensor, found: Callable[[], dict[str, Tensor]]) -> None:
        """Wait for a batch; keep the chunk that it completes."""
        values = {name: tensor.cpu().numpy() for name, tensor in found().items()}
        _refuse_no_numbers(values, rows.cpu().numpy(), self.store)
        self._parts.append(values)
        self._done += len(rows)
        assert self._chunk is not None
        number, of_chunk = self._chunk
        if int(rows[-1]) == of_chunk[-1]:
            self.keep(number, {name: np.concatenate([p[name] for p in self._parts]) for name in self._parts[0]})
            self._parts, self._chunk = [], next(self._mine, None)
        if self.trainer.is_global_zero:
            report("Embedding", self._done, self._cells)


def _refuse_no_numbers(values: dict[str, np.ndarray], rows: np.ndarray, store: CropStore) -> None:
    """Name the cells that come out as NaN; in a file nobody would see them before a benchmark does."""
    sound = np.all([np.isfinite(matrix.reshape(len(rows), -1)).all(axis=1) for matrix in values.values()], axis=0)
    if not sound.all():
        named = first_few([f"{row:,}" for row in rows[~sound]])
        raise StoreError(
            f"Cells of {store.path} come out as NaN or infinite, by row: {named}; maybe others behind them. Their "
            f"crops hold pixels that are no numbers. Leave these cells out of the store's table, or mend "
            f"their tiles, and make the store again."
        )


class _Stream(IterableDataset):
    """Batches of the rows of each chunk; none holds cells of two."""

    def __init__(self, store: CropStore, chunks: list[range]):
        self.store, self.chunks = store, chunks

    def __len__(self) -> int:
        return sum(-(-len(rows) // BATCH_SIZE) for rows in self.chunks)

    def __iter__(self) -> Iterator[Batch]:
        rows = (part for chunk in self.chunks for part in in_order(np.asarray(chunk), BATCH_SIZE))
        return batches(self.store, rows)
