"""A URL is told from a path, and nothing is written to one."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import polars as pl
import pytest

import contrascope as cs
from contrascope.addresses import is_url, local_path
from contrascope.errors import SettingsError
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata, write_anndata
from contrascope.training.run import open_run

URL = "s3://bucket/out"


@pytest.mark.parametrize("path", ["cells.zarr", "/a/b c.zarr", "C:/cells.zarr", "C:\\cells", "/a/b://c", "1:/x", "a:b"])
def test_a_path_is_a_path(path: str) -> None:
    assert not is_url(path)
    assert local_path(path) == Path(path)


@pytest.mark.parametrize("url", [URL, "gs://b/x", "https://host/x.zarr", "memory://x", "simplecache::s3://bucket/x"])
def test_a_url_is_no_path_to_write_to_not_even_as_a_path(url: str) -> None:
    assert is_url(url)
    for spelling in (url, Path(url)):
        with pytest.raises(SettingsError, match=r"is a URL\. Finished stores"):
            local_path(spelling)


def test_whatever_writes_refuses_a_url_and_leaves_nothing_behind(
    tiny_store: CropStore, tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = pl.DataFrame({"guide": ["a", "b"], "perturbation": ["a", "b"], "control": [True, False]})
    images, table = np.zeros((2, 1, 4, 4), np.uint8), ad.AnnData(np.zeros((2, 1)))
    for write in (
        lambda: cs.extract_crops(cs.open_screen(tiny_screen), URL),
        lambda: cs.store_from_arrays(images, cells, URL, channels=["a"]),
        lambda: cs.import_crops(images, URL, kind="arrays", cells=cells, channels=["a"], control="a"),
        lambda: cs.fit(tiny_store, out=URL),
        lambda: cs.run_screen(tiny_screen, URL),
        lambda: cs.synthetic_screen(URL, preset="tiny"),
        lambda: write_anndata(table, f"{URL}.h5ad"),
        lambda: read_anndata(f"{URL}.h5ad"),
        lambda: open_run(URL),
    ):
        with pytest.raises(SettingsError, match="is a URL"):
            write()
    assert not list(tmp_path.iterdir())
