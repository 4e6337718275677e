"""AnnData files of any origin, and tables of features: read what is there, write whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import pandas as pd
import polars as pl
import polars.selectors as cs

from contrascope.addresses import local_path
from contrascope.errors import BenchmarkError, SettingsError, StoreError, first_few, reason_of
from contrascope.litter import is_bare
from contrascope.vocabulary import FIELD_DISTANCE, OPTIONAL, REQUIRED

_TABLES = (".csv", ".tsv", ".parquet")
_NO_FEATURES = [*REQUIRED, *OPTIONAL, FIELD_DISTANCE]


def read_anndata(path: str | Path) -> ad.AnnData:
    """Cells or profiles from ``.h5ad`` or ``.zarr``.

    Raises:
        BenchmarkError: Not there, or no AnnData.
        SettingsError: A URL.
    """
    path = local_path(path)
    if not path.exists():
        raise BenchmarkError(f"There is no {path}. An AnnData file (.h5ad or .zarr) was needed.")
    if path.is_dir() and path.suffix != ".zarr":
        raise BenchmarkError(
            f"{path} is a folder. An AnnData file (.h5ad), or a folder that is one (.zarr), was needed."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anndata's advice on names that stand twice and on old files
            return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    except Exception as error:  # h5py, zarr and anndata each have errors of their own
        raise BenchmarkError(
            f"{path} cannot be read as AnnData: {' '.join(str(error).split())}. A .h5ad or .zarr was needed."
        ) from None


def read_embedding(path: str | Path, *, key: str = "cell_id") -> ad.AnnData:
    """Cells or profiles from ``.h5ad`` or ``.zarr``, or a table of features such as CellProfiler's.

    A table (``.csv``, ``.tsv``, ``.parquet``) has a row a cell, named by the column ``key``. Its columns of numbers
    are the features, but those that begin with ``Metadata_`` or stand in the cell table of every screen; features
    that are not finite in some row are left out, and ``uns["left_out"]`` names them.

    Returns:
        The AnnData; of a table, with all features in ``obsm["features"]``, (N, F) float64 with their names.

    Raises:
        BenchmarkError: Not there, of another kind, without the column ``key``, or without a feature.
        SettingsError: A URL.
    """
    path = local_path(path)
    if path.suffix not in _TABLES:
        return read_anndata(path)
    table = _read_table(path, key)
    if key not in table:
        raise BenchmarkError(
            f"{path} has no column '{key}' that names its rows. It has {first_few(table.columns, 8)}. "
            f"Rename the column that holds the cells' names to '{key}'."
        )
    numbers = table.select(cs.numeric()).drop(_NO_FEATURES, strict=False).select(~cs.starts_with("Metadata_"))
    finite = [
        name for name in numbers.columns if numbers[name].cast(pl.Float64).fill_null(float("nan")).is_finite().all()
    ]
    if not finite:
        raise BenchmarkError(f"{path} has no feature: no column of numbers that are all finite. Is it the right table?")
    index = pd.Index(table[key].cast(pl.String).to_list(), dtype=object)
    features = pd.DataFrame(numbers.select(finite).to_numpy(), index=index, columns=finite)
    left_out = [name for name in numbers.columns if name not in finite]
    return ad.AnnData(obs=pd.DataFrame(index=index), obsm={"features": features}, uns={"left_out": left_out})


def _read_table(path: Path, key: str) -> pl.DataFrame:
    if not path.exists():
        raise BenchmarkError(f"There is no {path}. A table of features was needed.")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        separator = "\t" if path.suffix == ".tsv" else ","
        names = {key: pl.String}  # the cell 007 is not 7
        return pl.read_csv(path, separator=separator, infer_schema_length=None, schema_overrides=names, glob=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path} cannot be read as a table: {reason_of(error)}.") from None


def write_anndata(data: ad.AnnData, path: str | Path) -> Path:
    """Write ``.h5ad`` or ``.zarr``, by the name's ending; what was there is replaced once the new is whole.

    Raises:
        SettingsError: Another ending, or a URL; or a name with a slash, for which a .zarr has no place.
        StoreError: The disk has less room than an .h5ad takes.
    """
    path = _with_known_ending(path)
    if path.suffix == ".zarr" and (slashed := _slashed(data)):
        raise SettingsError(
            f"{path} cannot be written: names with a slash have no place in a .zarr, {first_few(slashed)}. Rename "
            f"them, or write .h5ad."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".h5ad":  # HDF5 may end the process where it fills the disk
        _refuse_without_room(path, _least_bytes(data))
    beside = path.with_name(f"writing-{path.name}")
    _remove(beside)
    try:
        if path.suffix == ".zarr":
            _write_zarr(data, beside)
        else:
            data.write_h5ad(beside)
    except BaseException:
        _remove(beside)
        raise
    _put_in_place(beside, path)
    return path


def writable(path: str | Path, *, at_least: int = 0) -> Path:
    """A path that ``write_anndata`` will be given, checked before the work.

    Args:
        path: The path.
        at_least: Bytes that will be written, as far as they are known.

    Raises:
        SettingsError: Another ending, a URL, or a place where nothing can be written.
        StoreError: The disk has less room than that.
    """
    path = _with_known_ending(path)
    there = _nearest_folder(path)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {there} says {error.strerror}. Choose another place.") from None
    _refuse_without_room(path, at_least)
    return path


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in path.absolute().parents if folder.exists())


def _refuse_without_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(_nearest_folder(path)).free
    if free < needed:
        raise StoreError(
            f"{path} takes {needed / 1e6:,.0f} MB or more, and its disk has {free / 1e6:,.0f} MB left. Make room, or "
            f"write elsewhere; nothing was written."
        )


def _least_bytes(data: ad.AnnData) -> int:
    """What the matrices of an AnnData take, labels not counted."""
    matrices = [data.X, *data.obsm.values(), *data.layers.values()]
    return sum(int(getattr(matrix, "nbytes", 0)) for matrix in matrices)


def _with_known_ending(path: str | Path) -> Path:
    path = local_path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        raise SettingsError(f"{path} has an ending we do not write. Name it .h5ad or .zarr.")
    if path.exists() and not _is_replaceable(path):
        raise SettingsError(
            f"{path} exists and holds no cells or profiles, which could be replaced by these. Choose another name; "
            f"nothing was written."
        )
    return path


def _is_replaceable(path: Path) -> bool:
    """Whether what lies there is of the kind that is to be written, or nothing: no crop store, nobody's folder."""
    if path.suffix == ".h5ad":
        return path.is_file()
    if not path.is_dir() or is_bare(path):
        return path.is_dir()
    return is_anndata(path)


def is_anndata(folder: Path) -> bool:
    """Whether a Zarr group is an AnnData, as ours and others' are."""
    for name, read in (("zarr.json", lambda said: said.get("attributes", {})), (".zattrs", lambda said: said)):
        if (folder / name).is_file():
            try:
                return read(json.loads((folder / name).read_bytes())).get("encoding-type") == "anndata"
            except (ValueError, AttributeError, OSError):
                return False
    return False


def _put_in_place(new: Path, path: Path) -> None:
    """Move what is whole where it belongs. A folder cannot be moved onto anything: what is there steps aside first."""
    if not (path.exists() and (path.is_dir() or new.is_dir())):
        new.replace(path)
        return
    before = path.with_name(f".before.{path.name}")  # hidden, as nobody's own file is called so
    _remove(before)
    path.rename(before)
    new.replace(path)
    _remove(before)


def _slashed(data: ad.AnnData) -> list[str]:
    """Names of columns and matrices that hold a slash."""
    frames = {f"obsm['{key}']": m.columns for key, m in data.obsm.items() if isinstance(m, pd.DataFrame)}
    named = {"obs": data.obs.columns, "var": data.var.columns, "obsm": data.obsm, "uns": data.uns} | frames
    return [f"{part}['{name}']" for part, names in named.items() for name in names if "/" in str(name)]


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
