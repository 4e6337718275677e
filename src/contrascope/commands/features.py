"""``contrascope features``: what the command line says, as a call of the package.

The function answers with the facts and the text of its last line; ``cli`` shows progress and prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from contrascope.commands.arguments import Facts, Json, Quiet


def features(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A crop store: its folder, or a URL such as s3://...")],
    out: Annotated[Path, typer.Option(help="File to write, .parquet; or .h5ad, made in memory.")],
    nucleus: Annotated[
        str | None, typer.Option(help="Channel in which nuclei are bright; else the store's reference channel.")
    ] = None,
    cell: Annotated[
        list[str] | None,
        typer.Option(help="Channel that shows where cells end; may be repeated; else all but the nucleus's."),
    ] = None,
    features: Annotated[
        Literal["fast", "full"], typer.Option(help="All that cp_measure has, or what takes a tenth of the time.")
    ] = "full",
    diameter: Annotated[float | None, typer.Option(help="Of a typical nucleus in pixels; else measured.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to use instead.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Measure every cell as CellProfiler does: form, intensity, texture, distribution, correlation of channels.

    An interrupted run is resumed. Cells without a nucleus at the centre of their crop are counted and listed.

    Example: contrascope features cells.zarr --features fast --workers 4 --out features.parquet
    """
    from contrascope.features.parts import measure_cells
    from contrascope.store.store import open_store

    given = {"nucleus": nucleus, "cell": cell or None, "features": features, "diameter": diameter}
    chosen = {name: value for name, value in given.items() if value is not None}
    result = measure_cells(open_store(store), out, workers=workers, scheduler=scheduler, **chosen)
    facts = {"features": str(result.path), "n": result.cells, "n_features": result.features, "masks": result.masks}
    return facts | {"not_measured": result.not_measured, "how": result.facts["settings"]}, str(result)
