"""Names of features in plain words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.profiles.gloss import gloss

KNOWN = {
    "Cells_Texture_Contrast_Tubulin_3_00_256": "contrast of tubulin texture in the cell, at 3 pixels",
    "Nuclei_Texture_Entropy_DNA_9_02_256": "disorder of DNA texture in the nucleus, at 9 pixels up and down (entropy)",
    "Nuclei_AreaShape_Eccentricity": "elongation of the nucleus (eccentricity)",
    "Cells_AreaShape_Zernike_3_1": "outline of the cell, Zernike shape 3, 1",
    "Nuclei_Intensity_MeanIntensity_DAPI": "mean brightness of DAPI in the nucleus",
    "Cytoplasm_Correlation_Correlation_DAPI_gH2AX": "correlation of DAPI and gH2AX in the cytoplasm",
    "Cytoplasm_RadialDistribution_FracAtD_ER_1of4": "share of ER in ring 1 of 4 of the cytoplasm, from the centre",
    "Cells_Granularity_3_Mito": "grains of mito in the cell, size 3",
    "Cells_Neighbors_NumberOfNeighbors_5": "number of neighbours of the cell, within 5 pixels",
    "nucleus_dapi_mean": "mean of dapi in the nucleus",
    "cell_area": "area of the cell",
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_name_whose_grammar_is_known_is_said_in_plain_words(name: str) -> None:
    assert gloss(name) == KNOWN[name]


@pytest.mark.parametrize("name", ["salient 3", "Area", "Cells_Texture_Contrast", "Cells_", "DAPI mean", ""])
def test_of_other_names_nothing_is_said(name: str) -> None:
    assert gloss(name) == ""


WORDS = ["Cells", "Texture", "Correlation", "K", "Contrast", "3", "00", "", "AreaShape", "Zernike", "1of4", "mean"]
WORDS += ["Granularity", "RadialDistribution", "FracAtD", "Neighbors", "NumberOfNeighbors", "DAPI", "correlation"]


@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_no_name_breaks_it(parts: list[str]) -> None:
    assert isinstance(gloss("_".join(parts)), str)
    assert isinstance(gloss("_".join(["Nuclei", *parts])), str)
