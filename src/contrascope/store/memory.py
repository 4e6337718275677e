"""Memory that is used again: as soon as nobody can see an array any more, the next one may lie in its place.

A batch is some 20 MB, and memory of that size goes back to the system when an array is gone: the next batch would
pay again for having it mapped and zeroed, which can take as long as reading its cells. Here it is kept instead.

An array that is handed out has a loan for its base, an object of its own. All that can see the array's pixels, be
it a view, a tensor, a memoryview or a thread that still fills it, refers to the loan through the array. When the last
of them is gone Python ends the loan, and only then is the memory free.
"""

from __future__ import annotations

from collections import deque
from math import prod
from typing import Any

import numpy as np

_LENT = range(2**20, 2**26 + 1)
"""Bytes of arrays whose memory is worth keeping: less is cheap to get, more is not for a loop over batches."""
_KEPT = 8
"""Pieces of memory that may wait for an array: what a loader with four batches on their way has in use."""


class Memory:
    """Arrays whose memory is used again; what it keeps is what was in use at once, and never more than 512 MiB.

    Any thread may ask, and any may let an array go.
    """

    def __init__(self) -> None:
        # No lock: a loan may end wherever Python counts references, in the middle of anything. A deque's own steps
        # are whole, and a full one forgets its oldest.
        self._free: deque[np.ndarray] = deque(maxlen=_KEPT)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array with anything in it, as of ``np.empty``."""
        size = prod(shape) * dtype.itemsize
        if size not in _LENT:
            return np.empty(shape, dtype)
        return np.asarray(_Loan(self._piece(size), self._free, shape, dtype))

    def _piece(self, size: int) -> np.ndarray:
        """Memory that fits: at least ``size`` bytes, and not more than twice as many; what does not fit is let go."""
        while self._free:
            try:
                piece = self._free.pop()
            except IndexError:  # another thread was quicker
                break
            if size <= piece.nbytes <= 2 * size:
                return piece
        return np.empty(size, np.uint8)


class _Loan:
    """What an array stands on; gives the memory back when nothing refers to it any more."""

    def __init__(self, piece: np.ndarray, free: deque[np.ndarray], shape: tuple[int, ...], dtype: np.dtype):
        self._piece, self._free = piece, free
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "data": (piece.ctypes.data, False),
            "shape": shape,
            "typestr": dtype.str,
        }

    def __del__(self) -> None:
        self._free.append(self._piece)
