"""Lightning without its advertisements, and without advice that does not apply to us."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_KNOWN = (
    ".*does not have many workers.*",  # our loader reads ahead without worker processes
    ".*`__len__`.*",
    ".*IterableDataset.*",
    ".*your dataloader is not resumable.*",  # it is: TrainingStream goes by the steps taken
    ".*is smaller than the logging interval.*",
    ".*Found .* module.* in eval mode.*",
    ".*`isinstance.treespec, LeafSpec.`.*",
    ".*Checkpoint directory .* exists.*",
    ".*Experiment logs directory .* exists.*",
    ".*available but not used.*",  # a Mac's GPU (models/precision.py)
    ".*`srun` command is available.*",  # and torchrun may be what is used
    ".*`broadcast_buffers` is deprecated.*",  # its successor is not in all versions that we allow
    ".*recommended to use .*sync_dist=True.*",  # what is logged is the same in each process
    ".*predict returned None.*",  # what it finds is kept, not returned
    ".*Total length of `.*` across ranks is zero.*",
)


@contextmanager
def quietly() -> Iterator[None]:
    """Lightning says nothing short of an error; warnings that are known not to apply are left out."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _KNOWN:
            warnings.filterwarnings("ignore", message)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
