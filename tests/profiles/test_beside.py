"""Embeddings of several models are judged on the very same cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import BenchmarkError
from contrascope.profiles.beside import beside


def cells(names: list[str], *spaces: str, seed: int = 0) -> AnnData:
    """Random embeddings of named cells; the value of a cell depends on its name alone."""
    values = [np.random.default_rng([seed, *name.encode()]).normal(size=3) for name in names]
    return AnnData(obs=pd.DataFrame({"of": seed}, index=names), obsm={space: np.array(values) for space in spaces})


def test_spaces_of_another_go_by_its_name() -> None:
    joined, _ = beside(
        cells(list("abc"), "background", "salient"),
        {"cvae": cells(list("abc"), "background", "salient", seed=1), "vae": cells(list("abc"), "background", seed=2)},
    )
    assert list(joined.obsm) == ["background", "salient", "cvae background", "cvae salient", "cvae combined", "vae"]
    assert joined.obsm["cvae combined"].shape == (3, 6)
    assert (joined.obs["of"] == 0).all()


@given(mine=st.permutations("abcdef"), theirs=st.permutations("bcdefg"))
def test_rows_are_matched_by_name_whatever_their_order(mine: list[str], theirs: list[str]) -> None:
    joined, (note,) = beside(cells(mine, "background"), {"vae": cells(theirs, "background", seed=1)})
    assert list(joined.obs_names) == [name for name in mine if name != "a"]
    expected = cells(list(joined.obs_names), "background", seed=1).obsm["background"]
    np.testing.assert_array_equal(joined.obsm["vae"], expected)
    assert note == "vae: 5 of 6 rows are matched by its 6; 1 of the first and 1 of its own are left out."


def test_tables_that_cannot_be_matched_are_refused() -> None:
    with pytest.raises(BenchmarkError, match=r"No row is common.*first has a, b.*vae has c, d"):
        beside(cells(list("ab"), "salient"), {"vae": cells(list("cd"), "salient")})
    with pytest.warns(UserWarning, match="not unique"):
        doubled = cells(list("aab"), "salient")
    with pytest.raises(BenchmarkError, match=r"Rows of vae cannot be told apart: 1 names .* such as a"):
        beside(cells(list("ab"), "salient"), {"vae": doubled})
    with pytest.raises(BenchmarkError, match="Two embeddings would be called 'salient'"):
        beside(cells(list("ab"), "salient"), {"salient": cells(list("ab"), "background")})


def test_a_table_of_features_keeps_their_names() -> None:
    first = AnnData(obs=pd.DataFrame(index=["a", "b", "c"]), obsm={"salient": np.zeros((3, 2))})
    table = pd.DataFrame({"Cells_AreaShape_Area": [3.0, 1.0]}, index=["c", "a"])
    both, _ = beside(first, {"measured": AnnData(obs=pd.DataFrame(index=table.index), obsm={"features": table})})
    assert list(both.obsm["measured"]["Cells_AreaShape_Area"]) == [1.0, 3.0]
