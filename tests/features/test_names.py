"""Names are those that stand in CellProfiler's own tables."""

from __future__ import annotations

from contrascope.features import names
from contrascope.features.measure import feature_names

IN_CELLPROFILER_TABLES = [
    "Cells_AreaShape_Area",
    "Nuclei_AreaShape_Zernike_9_7",
    "Cytoplasm_AreaShape_BoundingBoxMaximum_X",
    "Cells_AreaShape_HuMoment_0",
    "Nuclei_AreaShape_MaxFeretDiameter",
    "Cells_AreaShape_InertiaTensorEigenvalues_1",
    "Nuclei_Intensity_MADIntensity_DNA",
    "Cytoplasm_Intensity_IntegratedIntensityEdge_GFP",
    "Nuclei_Location_CenterMassIntensity_X_DNA",
    "Cells_Granularity_16_GFP",
    "Cells_Location_MaxIntensity_Y_GFP",
    "Cells_Texture_Contrast_GFP_3_00_256",
    "Cytoplasm_Texture_InfoMeas2_DNA_3_03_256",
    "Cells_RadialDistribution_FracAtD_DNA_1of4",
    "Nuclei_RadialDistribution_RadialCV_GFP_4of4",
    "Cells_RadialDistribution_ZernikeMagnitude_GFP_9_1",
    "Cells_Correlation_Correlation_DNA_GFP",
    "Cells_Correlation_K_GFP_DNA",
    "Nuclei_Correlation_Costes_GFP_DNA",
    "Nuclei_Correlation_Costes_DNA_GFP",
    "Cytoplasm_Correlation_Manders_GFP_DNA",
    "Cells_Correlation_RWC_DNA_GFP",
    "Cells_Correlation_Overlap_DNA_GFP",
]


def test_all_names_of_a_usual_table_are_there() -> None:
    assert set(IN_CELLPROFILER_TABLES) <= set(feature_names(("DNA", "GFP"), "full"))


def test_fast_is_a_part_of_full() -> None:
    fast, full = (feature_names(("DNA", "GFP"), which) for which in ("fast", "full"))
    assert set(fast) < set(full)
    assert len(set(full)) == len(full)


def test_what_is_seen_from_the_second_channel_turns_the_pair_round() -> None:
    assert names.of_pair("Correlation_Manders_1", "A", "B") == "Correlation_Manders_A_B"
    assert names.of_pair("Correlation_Manders_2", "A", "B") == "Correlation_Manders_B_A"
    assert names.of_pair("Correlation_Pearson", "A", "B") == "Correlation_Correlation_A_B"
