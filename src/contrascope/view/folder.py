"""What a folder shows: an analysis with its report and its store, or a store by itself. It is only read.

A link that leads out of the folder is not followed: what is shown lies in the folder that was named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contrascope.addresses import local_path
from contrascope.errors import StoreError
from contrascope.store.description import TABLES
from contrascope.store.store import CropStore
from contrascope.view.page import with_panel

REPORT, STORE = "report.html", "cells.zarr"


@dataclass(frozen=True)
class Shown:
    """What is shown.

    Attributes:
        store: The cells.
        report: The page of an analysis; None for a store, and for an analysis that has no report yet.
    """

    store: CropStore
    report: Path | None


def open_folder(path: str | Path) -> Shown:
    """An analysis as ``contrascope run`` makes it, or a crop store.

    Raises:
        SettingsError: The path is a URL.
        StoreError: It is neither, or holds links that lead out of it, or its store or report cannot be used.
    """
    folder = local_path(path)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise StoreError(f"{folder} {what}. {_NEEDED}")
    if (folder / "zarr.json").exists() or (folder / "ingest.json").exists():
        return Shown(_store(folder, folder), None)
    if not (folder / STORE).is_dir():
        raise StoreError(f"{folder} has no {STORE} in it and is no crop store itself. {_NEEDED}")
    shown = Shown(_store(folder / STORE, folder), folder / REPORT if (folder / REPORT).exists() else None)
    if shown.report is not None:
        with_panel(read_report(shown.report), "", "")  # refused at the door, if it is none of ours
    return shown


_NEEDED = "Give the folder that `contrascope run SCREEN.yaml --out FOLDER` has filled, or a crop store."


def read_report(path: Path) -> str:
    """The page of an analysis as it is now.

    Raises:
        StoreError: It is a link that leads out of the analysis, or no text.
    """
    _refuse_leading_out(path, path.parent)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}. Make it again with `contrascope report`.") from None


def _store(path: Path, folder: Path) -> CropStore:
    for name in (".", "zarr.json", "images", *TABLES):
        _refuse_leading_out(path / name, folder)
    return CropStore(path)


def _refuse_leading_out(path: Path, folder: Path) -> None:
    there = path.resolve()
    if not there.is_relative_to(folder.resolve()):
        raise StoreError(
            f"{path} is a link that leads out of {folder}, to {there}. Only what lies in the folder is shown: give the "
            f"folder where it really lies."
        )
