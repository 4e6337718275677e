"""``contrascope match-features`` and ``reduce-features``: what the command line says, as calls of the package.

Each function answers with the facts and the text of its last line; ``cli`` shows progress and prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from contrascope.commands.arguments import Facts, Json, Quiet, settings_in


def match_features(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="CellProfiler's folder or SQLite; or CSV, TSV, Parquet, HDF5."),
    ],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The crop store of the cells: its folder, or a URL.")],
    out: Annotated[Path, typer.Option(help="File to write, .h5ad or .zarr.")],
    by: Annotated[
        Literal["cell_id", "label", "position"] | None,
        typer.Option(help="How rows find their cells; else the first of these that finds any."),
    ] = None,
    within: Annotated[float, typer.Option(help="By position: pixels between centres, at most.")] = 5.0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=COLUMN",
            help="What a column is: cell_id, plate, well, tile, label (number in its tile), y or x; as in cell_id=UID.",
        ),
    ] = None,
    compartment: Annotated[
        list[str] | None,
        typer.Option(help="What names of features begin with, such as nucleus; may be repeated. Else the known ones."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Which table of an HDF5 file.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Features of a store's cells from a table of CellProfiler or another program, with an account of the unmatched.

    Example: contrascope match-features cellprofiler_output cells.zarr --out features.h5ad
    """
    from contrascope.features.tables import match_features
    from contrascope.store.store import open_store
    from contrascope.tables import writable, write_anndata

    out = writable(out)
    how = {"columns": settings_in(settings), "compartments": compartment, "key": key}
    features, notes = match_features(table, open_store(store), by=by, within=within, **how)
    write_anndata(features, out)
    width = features.obsm["features"].shape[1]
    facts = {"features": str(out), "n": features.n_obs, "width": width, "notes": list(notes)}
    return facts, "\n".join([f"{out}: {features.n_obs:,} cells of {width:,} features", *notes])


def reduce_features(
    features: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="Measured or matched features, .h5ad, .zarr or .parquet.")
    ],
    out: Annotated[Path, typer.Option(help="File to write, .h5ad or .zarr.")],
    components: Annotated[int | None, typer.Option(help="Principal components; 64 unless --variance is given.")] = None,
    variance: Annotated[float | None, typer.Option(help="Instead: as many as hold this share, such as 0.9.")] = None,
    robust: Annotated[
        bool, typer.Option("--robust", help="Median and MAD of controls, not mean and deviation.")
    ] = False,
    batch: Annotated[
        str, typer.Option(help="The column of batches, in each of which controls are the measure.")
    ] = "batch",
    correlation: Annotated[
        float | None,
        typer.Option(help="Drop features that correlate more than this with an earlier one; else only copies."),
    ] = None,
    missing: Annotated[float, typer.Option(help="Share of cells in which a feature may be NaN or infinite.")] = 0.05,
    clip: Annotated[float | None, typer.Option(help="Clip standardised values to plus or minus this.")] = None,
    space: Annotated[str, typer.Option(help="Where the features stand in obsm.")] = "features",
    store: Annotated[
        str | None, typer.Option(help="Of a .parquet: the crop store that it was measured from, its folder or a URL.")
    ] = None,
    normalised: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also the features used, standardised, with their names.")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Features standardised on the controls of each batch, cleaned, and reduced to principal components.

    Example: contrascope reduce-features features.h5ad --out cellprofiler.h5ad --normalised named.h5ad
    """
    from contrascope.features.reduce import SPACE, account, reduce_features
    from contrascope.store.store import open_store
    from contrascope.tables import writable, write_anndata

    out, beside = writable(out), None if normalised is None else writable(normalised)
    reduced = reduce_features(
        features, components=components, variance=variance, robust=robust, batch=batch, correlation=correlation,
        missing=missing, clip=clip, space=space, keep=beside is not None,
        store=None if store is None else open_store(store),
    )  # fmt: skip
    if beside is not None:
        named = reduced.copy()
        del named.obsm[SPACE], named.varm[SPACE], reduced.obsm["features"]
        write_anndata(named, beside)
    write_anndata(reduced, out)
    facts = reduced.uns["contrascope"]["reduced"]
    numbers = {"n": reduced.n_obs, "components": reduced.obsm[SPACE].shape[1]}
    numbers |= {name: facts[name] for name in ("explained_variance", "used", "features")}
    dropped = facts["dropped"].to_dict("records")
    return {"cells": str(out), **numbers, "dropped": dropped}, f"{out}: {reduced.n_obs:,} cells. {account(reduced)}"
