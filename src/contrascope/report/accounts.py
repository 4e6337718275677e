"""What became of the cells of a screen, as tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl

from contrascope import vocabulary as v


def dropped(account: Any) -> pd.DataFrame:
    """Cells stored, and dropped for each reason, with their share, from a store's account."""
    rows = {"stored": account.stored, **{f"dropped: {why}": n for why, n in account.dropped.items()}}
    shares = [n / account.rows for n in rows.values()]
    return pd.DataFrame({"what became of them": list(rows), "cells": list(rows.values()), "share": shares})


def counts(cells: pl.DataFrame, *, ends: int = 5) -> pd.DataFrame:
    """Cells and guides of the most frequent perturbations and of the rarest, so many of each, from a cell table."""
    table = (
        cells.group_by(v.PERTURBATION, v.CONTROL)
        .agg(pl.len().alias("cells"), pl.col(v.GUIDE).n_unique().alias("guides"))
        .sort("cells", v.PERTURBATION, descending=[True, False])
    )
    return (table if table.height <= 2 * ends + 2 else pl.concat([table.head(ends), table.tail(ends)])).to_pandas()
