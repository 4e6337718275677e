"""Numbers and labels as texts that a page can hold, and its scripts can read.

    positions       65,536 steps from the lowest to the highest, two bytes each
    labels          a code a cell, as few bytes as count them all; the highest code is what is missing
    numbers         four bytes each, NaN where missing

Bytes are little-endian, as in every browser's typed arrays, and written in base64.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STEPS = 65_535


def packed(values: NDArray[Any], kind: str) -> str:
    """Values as base64 of little-endian numbers of a NumPy kind: ``u2``, ``f4``."""
    return base64.b64encode(values.astype(f"<{kind}").tobytes()).decode()


def quantised(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Finite positions (N,) in steps of their range: 0 the lowest, 65,535 the highest; all alike in the middle."""
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.full(len(values), STEPS // 2, np.uint16)
    # Halves first: the range of the largest floats is no float.
    shares = (values.astype(np.float64) / 2 - low / 2) / (high / 2 - low / 2)
    return np.rint(shares * STEPS).astype(np.uint16)


def packed_column(name: str, values: pd.Series) -> dict[str, Any] | None:
    """A column for the page; None where it tells no two cells apart, or hardly any two alike.

    Args:
        name: Of the column.
        values: (N,) numbers, flags or labels.
    """
    column = values.reset_index(drop=True)
    if pd.api.types.is_bool_dtype(column):
        column = column.map({True: "yes", False: "no"})
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
        numbers[~np.isfinite(numbers)] = np.nan
        varies = len(np.unique(numbers[np.isfinite(numbers)])) > 1
        return {"name": name, "values": packed(numbers, "f4")} if varies else None
    texts = column.astype(object).where(column.notna(), None).map(lambda text: None if text is None else str(text))
    codes, categories = pd.factorize(texts, sort=True)
    if not 1 < len(categories) <= max(2, len(column) / 2):
        return None
    return packed_labels(name, codes, list(categories))


def packed_labels(name: str, codes: NDArray[np.integer], categories: list[str]) -> dict[str, Any]:
    """Labels for the page: categories, and a code a cell, -1 where it has none."""
    size = next(size for size in (1, 2, 4) if len(categories) < 256**size)
    codes = np.where(codes < 0, 256**size - 1, codes)
    return {"name": name, "categories": categories, "codes": packed(codes, f"u{size}"), "bytes": size}


def script_data(data: Any) -> str:
    """Data as JSON that may stand within a script element: no text of it can end the element."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
