"""Where a store lies makes no difference to what is learnt from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope.embedding import embed
from contrascope.store.store import CropStore, open_store
from contrascope.training.files import WEIGHTS
from contrascope.training.run import Run

S3 = Callable[[str | Path, str], str]


@pytest.fixture(scope="module")
def remote(s3: S3, store: CropStore) -> CropStore:
    return open_store(s3(store.path, "training/cells.zarr"))


def test_a_run_on_a_bucket_has_the_very_weights_of_one_on_a_folder(
    remote: CropStore, run: Run, train: Callable[..., Run], tmp_path: Path
) -> None:
    trained = train(remote, tmp_path / "mcvae")
    assert trained.fingerprint == run.fingerprint
    assert (trained.path / WEIGHTS).read_bytes() == (run.path / WEIGHTS).read_bytes()
    assert (
        trained.metrics()
        .filter(~trained.metrics()["name"].str.contains("second"))
        .equals(run.metrics().filter(~run.metrics()["name"].str.contains("second")))
    )


def test_a_store_in_a_bucket_is_embedded_like_one_in_a_folder(remote: CropStore, store: CropStore, run: Run) -> None:
    there, here = embed(remote, run), embed(store, run)
    assert there.obs.equals(here.obs)
    assert all((there.obsm[name] == here.obsm[name]).all() for name in here.obsm)
