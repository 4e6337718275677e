"""Every cell in the model's spaces, as AnnData; and beside them two baselines on the same cells.

    obs                 the store's cell table, and the part (train, validation, test) of each cell
    obsm["background"]  (N, Z) posterior means of q(z|x)
    obsm["salient"]     (N, S) posterior means of q(s|x), if the model has that space; with the run's
                        ``salient_reference: matched`` less what controls of the same background have
    obsm["technical"]   (N, T) posterior means of q(t|x), if the model has that space
    obsm["untrained"]   the same encoders with random weights
    obsm["intensity"]   mean, standard deviation and percentiles of each channel

Simple statistics and random encoders are known to do well on such benchmarks; a claim that leaves them out
is no claim. Given a folder to fill, it holds one chunk of cells in memory, however many there are.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, overload

import anndata as ad
import numpy as np
import zarr
from torch import distributed

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import fingerprint
from contrascope.embedding.cell_encoder import CellEncoder
from contrascope.embedding.observations import Observations
from contrascope.embedding.on_disk import CellsOnDisk, Plan, cells_per_chunk, claim, is_filled, tidy
from contrascope.embedding.prediction import PATIENCE, predict
from contrascope.errors import SettingsError, StoreError
from contrascope.profiles.sums import summed, sums_path
from contrascope.store.files import half_written, remove, sha256
from contrascope.store.store import CropStore, as_store
from contrascope.tables import writable, write_anndata
from contrascope.training.distributed import (
    ALONE,
    Devices,
    World,
    devices_per_node,
    launched,
    on_first_rank,
    process_group,
)
from contrascope.training.files import MATCHED, WEIGHTS
from contrascope.training.processes import Processes
from contrascope.training.run import Run, open_run

__all__ = ["embed", "embed_to_file"]


@overload
def embed(
    store: CropStore | str | Path,
    run: Run | str | Path,
    *,
    baselines: bool = True,
    uncertainty: bool = False,
    error: bool = False,
    out: None = None,
    devices: Devices = 1,
) -> ad.AnnData: ...


@overload
def embed(
    store: CropStore | str | Path,
    run: Run | str | Path,
    *,
    baselines: bool = True,
    uncertainty: bool = False,
    error: bool = False,
    out: str | Path,
    devices: Devices = 1,
) -> Path: ...


def embed(
    store: CropStore | str | Path,
    run: Run | str | Path,
    *,
    baselines: bool = True,
    uncertainty: bool = False,
    error: bool = False,
    out: str | Path | None = None,
    devices: Devices = 1,
) -> ad.AnnData | Path:
    """Posterior means of every cell of a store.

    Args:
        store: The cells, or where their store is.
        run: A model trained on this store, or one of the same channels and crop size; or where the run is.
        baselines: Also embed the cells by an untrained model and by intensity statistics.
        uncertainty: Also posterior standard deviations, ``obsm["background_sd"]`` and ``obsm["salient_sd"]``.
        error: Also ``obs["reconstruction_error"]``, (1 / C H W) sum over pixels of (x - x^)^2 in the model's range.
        out: A folder NAME.zarr to fill with the cells, chunk by chunk; beside it, NAME.sums.zarr holds the sums of
            each guide in each batch, from which profiles can be made. One that was killed goes on where it was, to
            the very same bytes; a finished one of the same inputs is left as it is.
        devices: Accelerators that share the chunks of ``out``, or processes on a machine without; ``auto`` takes all
            GPUs. Several have a process each, started from here and ended with it. Where torchrun or srun has started
            the processes, they are those, on all nodes.

    Returns:
        N cells with ``obsm`` as above and no X; with ``out``, its path.

    Raises:
        RunError: The store has other channels or crops than the run; ``out`` holds something else.
        StoreError: The run normalised pixels by batch, and the store has batches it was not trained on; the cell
            table has a column that AnnData has no place for, or one of what is to be written; cells come out as NaN, by
            pixels that are no numbers; no space or permission.
        SettingsError: Several devices without ``out``, or none; or ``out`` is a URL, or its sums would lie where
            something else does.
        LostError: Another of several processes is gone; the same call goes on from the chunks that are kept.
    """
    store, run = as_store(store), open_run(run) if isinstance(run, str | Path) else run
    out = None if out is None else local_path(out)
    if out is not None:
        writable(sums_path(out))  # before the work
    world = None if out is None else launched()
    number = devices_per_node(devices, 1, world)
    if number > 1 and out is None:
        raise SettingsError(f"{number} devices cannot embed into memory. Take one, or name a folder (out) to fill.")
    wanted = {"baselines": baselines, "uncertainty": uncertainty, "error": error}
    spaces = _encoder(store, run, **wanted)
    observations, facts = Observations(store, run), _facts(store, run)
    if out is None:
        return _in_memory(spaces, store, observations, facts)
    files = [sha256(run.path / name) for name in ([WEIGHTS, MATCHED] if run.is_matched else [WEIGHTS])]
    made_from = fingerprint([version("contrascope"), facts, files, spaces.sizes, error])
    plan = Plan(len(store), spaces.sizes, error, facts, made_from)
    if world is not None or number == 1:
        _fill(CellsOnDisk(out, plan, observations), spaces, store, world or ALONE)
    elif _is_wanted(out, plan, spaces):  # nobody is started for nothing
        arguments = {"run": str(run.path.absolute()), "out": str(out.absolute())} | wanted
        Processes("contrascope.embedding:embed_share", store, arguments, number).wait()
    return out


def embed_share(store: CropStore, *, run: str, out: str, **wanted: bool) -> None:
    """What each of several processes does (``training/process.py``): ``embed``, with a run by its path."""
    embed(store, open_run(Path(run)), out=out, **wanted)


def _encoder(store: CropStore, run: Run, *, baselines: bool, uncertainty: bool, error: bool) -> CellEncoder:
    """What is wanted of each cell, if there is a place for it."""
    if error and v.RECONSTRUCTION_ERROR in store.column_names:
        raise StoreError(
            f"The cells of {store.path} have a column {v.RECONSTRUCTION_ERROR} of their own, which is where "
            f"reconstruction errors go. Give that column another name and make the store again, or leave them out."
        )
    return CellEncoder(run, store, baselines=baselines, uncertainty=uncertainty, error=error)


def embed_to_h5ad(
    store: CropStore,
    run: Run,
    path: Path,
    *,
    baselines: bool = True,
    uncertainty: bool = False,
    error: bool = False,
) -> ad.AnnData:
    """Embed in memory, and write; a file that there is no room for is refused before the work.

    Raises:
        ContrascopeError: As ``embed`` and ``write_anndata``.
    """
    spaces = _encoder(store, run, baselines=baselines, uncertainty=uncertainty, error=error)
    path = writable(path, at_least=len(store) * sum(spaces.sizes.values()) * np.dtype(np.float32).itemsize)
    cells = _in_memory(spaces, store, Observations(store, run), _facts(store, run))
    write_anndata(cells, path)
    return cells


def embed_to_file(
    store: CropStore, run: Run, path: Path, *, devices: Devices = 1, baselines: bool, uncertainty: bool, error: bool
) -> dict[str, int]:
    """Embed into a file, by the name's ending: ``.zarr`` is filled bit by bit, ``.h5ad`` is made in memory.

    Returns:
        Name of each matrix -> its columns.

    Raises:
        ContrascopeError: As ``embed`` and ``write_anndata``.
    """
    wanted = {"baselines": baselines, "uncertainty": uncertainty, "error": error}
    if path.suffix == ".zarr":
        embed(store, run, out=path, devices=devices, **wanted)
        return {name: int(matrix.shape[1]) for name, matrix in zarr.open_group(path / "obsm", mode="r").arrays()}
    world = launched()
    if (number := devices_per_node(devices, 1, None) if world is None else world.size) > 1:
        raise SettingsError(f"{number} devices cannot fill {path}. Name it .zarr, or take one device.")
    cells = embed_to_h5ad(store, run, path, **wanted)
    return {name: int(values.shape[1]) for name, values in cells.obsm.items()}


def _in_memory(spaces: CellEncoder, store: CropStore, observations: Observations, facts: dict[str, Any]) -> ad.AnnData:
    N, obs = len(store), observations.frame()
    found: dict[str, np.ndarray] = {name: np.empty((N, size), np.float32) for name, size in spaces.sizes.items()}
    if spaces.error:
        found[v.RECONSTRUCTION_ERROR] = np.empty(N, np.float32)
    step = cells_per_chunk(N)
    chunks = {i: range(start, min(start + step, N)) for i, start in enumerate(range(0, N, step))}

    def keep(chunk: int, values: dict[str, np.ndarray]) -> None:
        for name, matrix in values.items():
            found[name][chunks[chunk].start : chunks[chunk].stop] = matrix

    predict(spaces, store, chunks, keep=keep, finish=lambda: None)
    if spaces.error:
        obs[v.RECONSTRUCTION_ERROR] = found.pop(v.RECONSTRUCTION_ERROR)
    cells = ad.AnnData(obs=obs, obsm=found)
    cells.uns["contrascope"] = facts
    return cells


def _is_wanted(path: Path, plan: Plan, spaces: CellEncoder) -> bool:
    """Claim a folder: whether cells are to be embedded. Of one that is finished, what it has no use for is deleted."""
    wanted = claim(path, plan.fingerprint, computed_in=spaces.computed_in)
    if not wanted:
        tidy(path)
    return wanted


def _fill(cells: CellsOnDisk, spaces: CellEncoder, store: CropStore, world: World) -> None:
    """Fill a folder, or go on filling it. Each process comes by here; only the first tidies up."""
    path, plan = cells.path, cells.plan

    def prepare() -> None:
        if _is_wanted(path, plan, spaces):
            for file in half_written(path):
                remove(file)
            cells.describe()

    def finish() -> None:
        write_anndata(summed(cells.blocks(), facts=plan.facts), sums_path(path))
        cells.finish()

    with process_group(world, PATIENCE):
        on_first_rank(world, prepare)
        if is_filled(path):
            return
        chunks = {chunk: plan.rows(chunk) for chunk in cells.todo()}
        if world.size > 1:
            distributed.barrier()  # none writes a chunk before all have seen which are missing
        if chunks:
            predict(spaces, store, chunks, keep=cells.write, finish=finish, world=world)
        else:
            on_first_rank(world, finish)


def _facts(store: CropStore, run: Run) -> dict[str, Any]:
    return {
        "screen": store.name,
        "channels": store.channels,
        "model": run.model_name,
        "run": run.fingerprint,
        "store": store.fingerprint,
        "views": run.settings.views,
        "salient_reference": run.settings.salient_reference if run.model.has_salient else "none",
    }
