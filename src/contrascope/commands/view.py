"""``contrascope view``: what the command line says, as a call of the package.

The function answers with the view, which does not serve yet, and with the facts and the text that say where it is.
"""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from contrascope.commands.arguments import Facts, Json, Quiet


def view(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder that `contrascope run` filled, or a crop store.")
    ],
    port: Annotated[int, typer.Option(help="Port of this machine; 0 takes one that is free.", min=0, max=65535)] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Any, Facts, str]:
    """Show a report with all its cells, read from the store as they are looked at.

    For this machine alone, at an address that holds a random key; nothing is written. Ctrl-C ends it.

    Example: contrascope view analysis
    """
    from contrascope.view.server import View

    made = View(folder, port=port)
    if open_:
        webbrowser.open(made.url)  # it waits until the view serves
    facts = {"url": made.url, "folder": str(Path(folder)), "cells": len(made.store)}
    return made, facts, f"{made.url}\n{len(made.store):,} cells are shown there until you press Ctrl-C."
