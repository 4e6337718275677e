"""Images resized by weights: loops that numba compiles, as neither NumPy nor torch has them at this speed.

Columns are weighed first. For that an image is turned, so that in both halves the inner loop goes along memory, over
numbers that have one weight: sixteen of them are multiplied and added at once. Sums are taken in the order of pixels,
with one rounding for a product and its sum, as a matrix product of oneDNN does; what comes out has the same bits.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def weighed(
    images: np.ndarray,
    first_row: np.ndarray,
    row_weights: np.ndarray,
    first_column: np.ndarray,
    column_weights: np.ndarray,
    out: np.ndarray,
) -> None:
    """Resize each image into its place in ``out``; Python's lock is let go of.

    Args:
        images: (N, H, W) of any numbers.
        first_row, row_weights: (h,) first row that a resized one is made of, and (h, K) weights from there on, float32.
        first_column, column_weights: The same of columns, (w,) and (w, L).
        out: (N, h, w) float32, written.
    """
    N, H, W = images.shape
    w = out.shape[2]
    turned, narrow = np.empty((W, H), np.float32), np.empty((w, H), np.float32)
    upright = np.empty((H, w), np.float32)
    for n in range(N):
        for y in range(H):
            for x in range(W):
                turned[x, y] = np.float32(images[n, y, x])
        _sum(turned, first_column, column_weights, narrow)
        for x in range(w):
            for y in range(H):
                upright[y, x] = narrow[x, y]
        _sum(upright, first_row, row_weights, out[n])


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _sum(rows: np.ndarray, first: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """out[i] = sum over k of weights[i, k] rows[first[i] + k]."""
    for i in range(len(out)):
        total = out[i]
        total[:] = 0
        for k in range(weights.shape[1]):
            # Local names: read from the arrays each time, they might alias ``total`` as far as LLVM knows.
            weight, row = weights[i, k], rows[first[i] + k]
            for x in range(len(row)):
                total[x] += weight * row[x]
