"""Selections of cells by the values of columns, compared as text: ``{"row": ["A", "B"], "plate": 1}``.

A cell fits when every column holds one of its values. Where a column holds numbers the values are compared as
numbers: 1, 1.0 and "1" are one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.vocabulary import WELL

Selection = Mapping[str, Any]
"""Column -> value, or list of values, compared as text; a cell has to fit every column."""


def selected(obs: pd.DataFrame, selection: Selection, *, what: str) -> NDArray[np.bool_]:
    """The cells, (N,), that fit every column of a selection.

    Args:
        what: The selection's name, for the message.

    Raises:
        BenchmarkError: An unknown column, or no cell fits.
    """
    mask = np.ones(len(obs), dtype=bool)
    for column, wanted in selection.items():
        need_column(obs, column, what=what)
        as_text = texts(obs[column])
        mask &= np.isin(as_text, _wanted_texts(wanted, numeric=_is_number(obs[column])))
    if not mask.any():
        found = "; ".join(f"{c}: {first_few(sorted(set(texts(obs[c]))), 8)}" for c in selection)
        raise BenchmarkError(f"{what} {said(selection)} selects none of {len(obs):,} cells. The cells have {found}.")
    return mask


def with_row_and_column(obs: pd.DataFrame) -> pd.DataFrame:
    """The table with ``row`` and ``column`` read off the well where it has none: B07 is row B, column 7.

    A cell without a well is in no row and no column.
    """
    if WELL not in obs or {"row", "column"} <= set(obs.columns):
        return obs
    wells = texts(obs[WELL])
    parts = {well: re.fullmatch(r"([A-Za-z]+)0*(\d+)", well) for well in {*wells} - {""}}
    if not parts or not all(parts.values()):
        return obs
    derived = {
        name: [parts[well][group] if well else "" for well in wells]  # type: ignore[index]
        for name, group in (("row", 1), ("column", 2))
    }
    return obs.assign(**{name: values for name, values in derived.items() if name not in obs})


def _is_number(column: pd.Series) -> bool:
    kind = column.dtype.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def texts(column: pd.Series) -> NDArray[Any]:
    """A column as text; numbers in their shortest form, so that 1.0 reads 1."""
    codes, distinct = pd.factorize(column, use_na_sentinel=True)
    texts = [_text(value, numeric=_is_number(column)) for value in distinct]
    return np.array([*texts, ""], dtype=object)[codes]


def _text(value: object, *, numeric: bool) -> str:
    text = str(value)
    if numeric:
        with suppress(ValueError):
            return str(int(text))  # with all digits of 20240115123001
        with suppress(ValueError):
            number = float(text)
            return str(int(number)) if number.is_integer() else f"{number:.12g}"
    return text


def _wanted_texts(wanted: Any, *, numeric: bool) -> list[str]:
    several = wanted if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    return [_text(value, numeric=numeric) for value in several]


def need_column(obs: pd.DataFrame, *columns: str, what: str) -> None:
    """Raise if one of the columns is not there, saying who asked for it."""
    for column in (name for name in columns if name not in obs):
        raise BenchmarkError(f"{what} names the column '{column}'. The cells have {first_few(obs.columns, 12)}.")


def said(selection: Selection) -> str:
    """A selection as readable text."""
    return "{" + ", ".join(f"{column}: {wanted}" for column, wanted in selection.items()) + "}"
