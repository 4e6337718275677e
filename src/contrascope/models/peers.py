"""What the objective needs of a whole batch where several processes hold a share of it each.

Noise is drawn for the whole batch by each of them, from equal generators, and each takes what belongs to its cells:
together they then do what one process would do alone. Outside of ``sharing`` a process is alone, and nothing here
talks to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed

from contrascope.vocabulary import WHOLE, Share

_share: ContextVar[Share] = ContextVar("share of the batch", default=WHOLE)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Inside, batches are a share of what all processes hold together."""
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """(B, Z) standard normal numbers for the cells of ``x``."""
    share = _share.get()
    cells = len(x) * share.of
    noise = torch.randn((cells, *x.shape[1:]), generator=generator, device=x.device, dtype=x.dtype)
    return noise if share.of == 1 else noise[share.places(cells)]


def mean_over_all(x: Tensor) -> Tensor:
    """The mean of every process's ``x``; no gradient runs through it."""
    share = _share.get()
    if share.of == 1:
        return x
    mean = x.detach().clone()
    distributed.all_reduce(mean)
    return mean / share.of


def of_all(x: Tensor) -> Tensor:
    """The rows of every process's ``x``, as many of each, one process after the other; gradients run back to all."""
    share = _share.get()
    return x if share.of == 1 else _Gathered.apply(x, share)


class _Gathered(torch.autograd.Function):
    """Rows of all processes.

    Each process computes the same value from them and goes back from it, so that a row's gradient is their sum. It is
    what one process would have times their number; the mean that DDP takes of gradients divides by that number again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Share) -> Tensor:
        ctx.share = share
        parts = [torch.empty_like(x) for _ in range(share.of)]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total.chunk(ctx.share.of)[ctx.share.rank], None
