"""AnnData files of any origin: read what is there, write whole or not at all."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import anndata as ad

from contrascope.addresses import local_path
from contrascope.errors import BenchmarkError, SettingsError


def read_anndata(path: str | Path) -> ad.AnnData:
    """Cells or profiles from ``.h5ad`` or ``.zarr``.

    Raises:
        BenchmarkError: Not there, or no AnnData.
        SettingsError: A URL.
    """
    path = local_path(path)
    if not path.exists():
        raise BenchmarkError(f"There is no {path}. An AnnData file (.h5ad or .zarr) was needed.")
    try:
        return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    except Exception as error:  # h5py, zarr and anndata each have errors of their own
        raise BenchmarkError(
            f"{path} cannot be read as AnnData: {' '.join(str(error).split())}. A .h5ad or .zarr was needed."
        ) from None


def write_anndata(data: ad.AnnData, path: str | Path) -> Path:
    """Write ``.h5ad`` or ``.zarr``, by the name's ending; what was there is replaced once the new is whole.

    Raises:
        SettingsError: Another ending, or a URL.
    """
    path = local_path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        raise SettingsError(f"{path} has an ending we do not write. Name it .h5ad or .zarr.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"writing-{path.name}")
    _remove(beside)
    if path.suffix == ".zarr":
        _write_zarr(data, beside)
    else:
        data.write_h5ad(beside)
    _remove(path)
    beside.replace(path)
    return path


def _write_zarr(data: ad.AnnData, path: Path) -> None:
    """Zarr v3, as our stores; zarr and anndata tell of their plans and of other readers."""
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore")
        data.write_zarr(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
