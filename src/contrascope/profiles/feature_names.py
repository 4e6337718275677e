"""What the columns of an embedding are called."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.vocabulary import BACKGROUND, COMBINED, INTENSITY, INTENSITY_PERCENTILES, SALIENT


def feature_names(data: AnnData, space: str) -> list[str]:
    """What the columns of a space are called.

    The columns of a data frame in ``obsm``; else the list ``uns["contrascope"]["features"][space]``; else, of our
    intensities, channel and statistic; else the space with a number, from 1.

    Raises:
        BenchmarkError: The list in ``uns`` is as long as the space is not wide.
    """
    if space == COMBINED and COMBINED not in data.obsm:
        return [*feature_names(data, BACKGROUND), *feature_names(data, SALIENT)]
    matrix, facts = data.obsm[space], data.uns.get("contrascope", {})
    width = int(matrix.shape[1])
    if isinstance(matrix, pd.DataFrame):
        return [str(name) for name in matrix.columns]
    if space in (given := facts.get("features", {})):
        if len(given[space]) != width:
            raise BenchmarkError(
                f"uns['contrascope']['features']['{space}'] has {len(given[space]):,} names for {width:,} features. "
                "Give each feature one name, in the order of the columns."
            )
        return [str(name) for name in given[space]]
    statistics = ["mean", "standard deviation", *(f"percentile {p}" for p in INTENSITY_PERCENTILES)]
    channels = [str(channel) for channel in facts.get("channels", [])]
    if space == INTENSITY and width == len(channels) * len(statistics):
        return [f"{channel} {statistic}" for channel in channels for statistic in statistics]
    return [f"{space} {number}" for number in range(1, width + 1)]
