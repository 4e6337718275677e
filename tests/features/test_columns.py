"""Which columns of a feature table say what cell a row is, and which measure it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import ContrascopeError, SettingsError, TableError
from contrascope.features.columns import columns_of

MEASURED = (
    "Cells_AreaShape_Area",
    "Nuclei_Texture_Contrast_DNA_3_00_256",
    "Cytoplasm_RadialDistribution_FracAtD_GFP_1of4",
)
NOT_MEASURED = (
    "ImageNumber",
    "Metadata_Site",
    "Cells_ObjectNumber",
    "Cells_Parent_Nuclei",
    "Nuclei_Children_Speckles_Count",
    "Cells_Location_Center_X",
    "Nuclei_AreaShape_Center_Y",
    "Cells_AreaShape_BoundingBoxMinimum_X",
    "Cells_Neighbors_FirstClosestObjectNumber_5",
    "FileName_DNA",
)


def schema(*names: str, **types: pl.DataType) -> pl.Schema:
    return pl.Schema(dict.fromkeys(names, pl.Float64()) | types)


@given(order=st.permutations([*MEASURED, *NOT_MEASURED]))
def test_what_counts_names_or_places_an_object_is_no_feature(order: list[str]) -> None:
    found = columns_of(schema(*order), where="t")
    assert list(found.features) == [name for name in order if name in MEASURED]


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        (["cell_id", "plate", "well", "tile"], {"cell_id": ("cell_id",), "plate": ("plate",), "tile": ("tile",)}),
        (
            ["Metadata_Plate", "Metadata_Well", "Metadata_Site"],
            {"plate": ("Metadata_Plate",), "tile": ("Metadata_Site",)},
        ),
        (["UID", "cell_i", "cell_j"], {"cell_id": ("UID",), "y": ("cell_i",), "x": ("cell_j",)}),
        (["ObjectNumber"], {"label": ("ObjectNumber",)}),
        (
            [
                "Cells_Location_Center_Y",
                "Cells_Location_Center_X",
                "Nuclei_Location_Center_Y",
                "Nuclei_Location_Center_X",
            ],
            {"y": ("Nuclei_Location_Center_Y",), "x": ("Nuclei_Location_Center_X",)},
        ),
    ],
)
def test_names_of_known_pipelines_are_keys(columns: list[str], keys: dict[str, tuple[str, ...]]) -> None:
    found = columns_of(schema(*columns, MEASURED[0]), where="t")
    assert keys.items() <= dict(found.keys).items()
    assert list(found.features) == [MEASURED[0]]


def test_y_and_x_are_of_one_object() -> None:
    found = columns_of(
        schema("Cells_Location_Center_X", "Cells_Location_Center_Y", "Nuclei_Location_Center_Y", MEASURED[0]), where="t"
    )
    assert (found.keys["y"], found.keys["x"]) == (("Cells_Location_Center_Y",), ("Cells_Location_Center_X",))


def test_what_the_user_names_goes_before_what_is_known_and_is_no_feature() -> None:
    names = ["UID", "Cells_Name", "Nuclei_Row", MEASURED[0], "Cells_Y", "Cells_X"]
    said = {"cell_id": "Cells_Name", "tile": ["Nuclei_Row", "UID"], "y": "Cells_Y", "x": "Cells_X"}
    found = columns_of(schema(*names), where="t", named=said)
    assert found.keys["cell_id"] == ("Cells_Name",)
    assert found.keys["tile"] == ("Nuclei_Row", "UID")
    assert list(found.features) == [MEASURED[0]]


def test_features_of_texts_are_told_and_a_table_of_anybodys_has_numbers_only() -> None:
    found = columns_of(schema(MEASURED[0], Cells_Odd=pl.String()), where="t")
    assert (list(found.features), list(found.texts)) == ([MEASURED[0], "Cells_Odd"], ["Cells_Odd"])
    plain = columns_of(schema("speed", "plate", name=pl.String()), where="t")
    assert (list(plain.features), list(plain.texts)) == (["speed"], [])


def test_what_is_asked_of_a_table_and_is_not_there_is_said() -> None:
    with pytest.raises(SettingsError, match="'row' is no key of a feature table"):
        columns_of(schema(*MEASURED), where="t", named={"row": "a"})
    with pytest.raises(TableError, match=r"t\.csv has no column 'a'"):
        columns_of(schema(*MEASURED), where="t.csv", named={"cell_id": "a"})
    with pytest.raises(TableError, match="no column that begins with Blobs"):
        columns_of(schema(*MEASURED), where="t", compartments=["Blobs"])


@given(names=st.lists(st.text(max_size=12) | st.sampled_from([*MEASURED, *NOT_MEASURED]), unique=True, max_size=8))
def test_no_column_is_both_a_key_and_a_feature_whatever_columns_are_called(names: list[str]) -> None:
    try:
        found = columns_of(schema(*names), where="t")
    except ContrascopeError as error:
        assert "has no feature" in str(error)
        return
    keys = {column for source in found.keys.values() for column in source}
    assert not keys & set(found.features)
    assert keys | set(found.features) <= set(names)
