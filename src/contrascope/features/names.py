"""CellProfiler's names for what cp_measure returns: ``Object_Category_Feature_Channel...``.

cp_measure leaves out the object and the channel, and sometimes the category. In CellProfiler a channel stands behind
the feature and before its parameters: ``Cells_Texture_Contrast_Tubulin_3_00_256``.
"""

from __future__ import annotations

_CORRELATION = {"Pearson": "Correlation"}
"""Where the two call a measurement by different names."""


def of_shape(name: str) -> str:
    """Of an object's form: ``AreaShape_Area``."""
    return f"AreaShape_{name}"


def of_channel(family: str, name: str, channel: str) -> str:
    """Of an object in one channel: ``RadialDistribution_MeanFrac_DAPI_1of4``."""
    full = f"Texture_{name}" if family == "texture" else name
    parts = full.split("_")
    # Granularity has a number for a feature, and places have their axis in the feature's name.
    head = 3 if parts[0] == "Location" else 2
    return "_".join([*parts[:head], channel, *parts[head:]])


def of_pair(name: str, first: str, second: str) -> str:
    """Of an object in two channels; what ends in 2 is seen from the second: ``Correlation_Manders_GFP_DAPI``."""
    category, feature, *direction = name.split("_")
    pair = (second, first) if direction == ["2"] else (first, second)
    return "_".join([category, _CORRELATION.get(feature, feature), *pair])
