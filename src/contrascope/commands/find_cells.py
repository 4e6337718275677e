"""``contrascope find-cells``: what the command line says, as a call of the package.

The function answers with the facts and the text of its last line; ``cli`` shows progress and prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from contrascope.addresses import local_path
from contrascope.commands.arguments import Facts, Json, Quiet
from contrascope.errors import SettingsError


def find_cells(
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="A screen file, or a file-name pattern in quotes.")],
    channel: Annotated[str, typer.Option(help="Channel in which nuclei are bright.")],
    out: Annotated[Path, typer.Option(help="The cell table to write, .parquet or .csv.")],
    channels: Annotated[
        str | None,
        typer.Option(help="With a pattern: DAPI,GFP in the order of planes, or DAPI=w1,GFP=w2 in its names."),
    ] = None,
    reader: Annotated[str | None, typer.Option(help="With a pattern: ome-zarr, bioio; else TIFF.")] = None,
    diameter: Annotated[float | None, typer.Option(help="Of a typical nucleus, in pixels.")] = None,
    method: Annotated[Literal["watershed", "cellpose"] | None, typer.Option(help="How nuclei are found.")] = None,
    threshold: Annotated[
        Literal["otsu", "local"] | None,
        typer.Option(help="otsu: one for each tile; local: follows an uneven background."),
    ] = None,
    min_area: Annotated[float | None, typer.Option(help="Smallest nucleus, in pixels.")] = None,
    max_area: Annotated[float | None, typer.Option(help="Largest nucleus, in pixels.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Find nuclei in images that have no cell table, and write one.

    Example: contrascope find-cells "tiles/{plate}_{well}_{tile}.tif" --channels DAPI,GFP --channel DAPI
    --diameter 18 --out cells.parquet
    """
    from contrascope.screen.find_cells import find_cells

    out = local_path(out)
    if out.suffix not in (".parquet", ".csv"):
        raise SettingsError(f"{out} has an ending we do not write. Name it .parquet or .csv.")
    given = {"diameter": diameter, "method": method, "threshold": threshold}
    given |= {"min_area": min_area, "max_area": max_area}
    nuclei = {name: value for name, value in given.items() if value is not None}
    cells = find_cells(images, channel=channel, channels=_channels(channels), reader=reader, **nuclei)
    out.parent.mkdir(parents=True, exist_ok=True)
    (cells.write_parquet if out.suffix == ".parquet" else cells.write_csv)(out)
    tiles = cells.select("plate", "well", "tile").n_unique()
    facts = {"cells": str(out), "n": cells.height, "tiles": tiles, "median_area": cells["area"].median()}
    return facts, f"{out}: {cells.height:,} cells in {tiles:,} tiles, {facts['median_area']:,.0f} pixels each"


def _channels(text: str | None) -> list[str] | dict[str, str] | None:
    if text is None:
        return None
    parts = text.split(",")
    return dict(part.split("=", 1) for part in parts) if all("=" in part for part in parts) else parts
