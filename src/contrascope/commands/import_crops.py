"""``contrascope import-crops``: what the command line says, as a call of the package.

The function answers with the facts and the text of its last line; ``cli`` shows progress and prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from contrascope.commands.arguments import Facts, Json, Quiet, settings_in, split
from contrascope.errors import SettingsError

_OWN = {"source", "out", "kind", "cells", "columns", "control", "channels", "name", "pixel_size_um"}


def import_crops(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A .npy, .npz or .h5sc file, an LMDB, a folder.")],
    out: Annotated[Path, typer.Option(help="The store's folder, NAME.zarr.")],
    kind: Annotated[str, typer.Option(help="arrays, folder, lmdb or scportrait.")],
    cells: Annotated[Path | None, typer.Option(help="The cell table: CSV, TSV or Parquet.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A column of the table, such as guide=sgRNA_0.")
    ] = None,
    control: Annotated[list[str] | None, typer.Option(help="Label of the controls; NAME* is a prefix.")] = None,
    channels: Annotated[str | None, typer.Option(help="Names in the order of the planes: DAPI,Tubulin.")] = None,
    name: Annotated[str, typer.Option(help="Name of the screen.")] = "imported crops",
    pixel_size_um: Annotated[float | None, typer.Option(help="Width of a pixel in micrometres.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the kind, such as axes=NHWC or n_masks=2."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Make a store of crops that were cut out elsewhere.

    Example: contrascope import-crops crops.npy --kind arrays --cells cells.csv --channels DAPI,GFP
    --control nontargeting --set axes=NHWC --out cells.zarr
    """
    from contrascope.store.importers import WITHOUT_ROW, import_crops

    store = import_crops(
        source,
        out,
        kind=kind,
        cells=cells,
        columns=dict(split(text, example="--column guide=sgRNA_0") for text in column or []),
        control=control or None,
        channels=channels.split(",") if channels else None,
        name=name,
        pixel_size_um=pixel_size_um,
        **_options(settings),
    )
    account, unlisted = store.account, store.provenance[WITHOUT_ROW]
    facts = {"store": str(out), "rows": account.rows, "stored": account.stored, "dropped": account.dropped}
    more = f"; {unlisted:,} images without a row were left out" if unlisted else ""
    text = "\n".join([f"{out}: {account}{more}", *(f"note: {note}" for note in store.notes)])
    return facts | {WITHOUT_ROW: unlisted, "notes": store.notes}, text


def _options(settings: list[str] | None) -> dict[str, Any]:
    """Options of the kind; what the command has a name for is not given this way."""
    options = settings_in(settings)
    if own := sorted(_OWN & options.keys()):
        raise SettingsError(f"--set {own[0]}=... is not how it is given. Use the argument or option of that name.")
    return options
