"""A card of each perturbation: what its pictures and tables are made of, gathered where cells and model are at hand.

    cells.csv        the cells shown, with their controls: rows of the store, where they come from, how well they match
    pictures.csv     the sheets: perturbation, view, file, rows, amplification of the difference
    neighbours.csv   the most alike perturbations     guides.csv   the guides of each     agreement.csv   of its guides
    altered.csv      the most altered measurements, where cells were measured
    facts.json       contrast, pixel size, and what could not be had
    NNNN_NAME_N_VIEW.webp

Pictures are read and decoded for some dozens of perturbations at a time, so memory does not grow with the screen.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from PIL import Image

from contrascope import vocabulary as v
from contrascope.contrast import shown_cells, shown_pixel_um, store_contrast
from contrascope.errors import BenchmarkError
from contrascope.features.altered import altered_features
from contrascope.figures.card_sheets import CELLS, MATCHED, OTHER, RANDOM, Decoded, Sheet, sheets
from contrascope.figures.gallery import Images, Limits, bar_length, limits_of
from contrascope.profiles import guide_agreement
from contrascope.profiles.aggregate import averaged
from contrascope.profiles.examples import examples
from contrascope.profiles.guides import guide_table
from contrascope.profiles.nearest import nearest_perturbations
from contrascope.profiles.normalize import centred
from contrascope.progress import track
from contrascope.store.files import write_bytes, write_json
from contrascope.store.store import CropStore
from contrascope.training.run import Run

CARD_BYTES = 88_000
"""Of a card's pictures: a third more as text in a page, some 120 kB."""
_QUALITIES = (78, 65, 50, 35, 20, 10)
_AT_ONCE = 32
"""Cards whose cells are read and decoded together."""
_FOR_CONTRAST = 400
_WHERE = (v.PLATE, v.WELL, v.TILE, v.GUIDE, v.CELL_ID)


@dataclass(frozen=True)
class _Scale:
    """What all cards share, so that they can be compared.

    Attributes:
        cells: (C, 2) black and white points of stored pixels.
        decoded: (C, 2) of the model's range.
        pixel_um: Width of a shown cell's pixel in micrometres, if known.
    """

    cells: Limits
    decoded: Limits
    pixel_um: float | None

    def bar_um(self, store: CropStore) -> float | None:
        """Length of the white bar."""
        width = shown_cells(store, np.array([0])).shape[-1]
        return None if self.pixel_um is None else bar_length(width, self.pixel_um)


def draw_cards(
    folder: Path,
    store: CropStore,
    run: Run,
    cells: AnnData | Path,
    sums: AnnData,
    *,
    measured: Path | None = None,
    measured_within: str = v.BATCH,
) -> int:
    """Write everything that the cards show into a folder.

    Args:
        folder: Where it goes.
        store: The cells' pixels.
        run: The model.
        cells: The cells embedded by it, in memory or in a file.
        sums: The same, or the sums of them by guide and batch.
        measured: What was measured of the cells, if anything was.
        measured_within: Column of the batches on whose controls measurements are standardised.

    Returns:
        The number of cards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = examples(cells)
    space = v.SALIENT if run.model.has_salient else v.BACKGROUND
    profiles = centred(averaged(sums, by="perturbation"))
    reason = _draw_tables(folder, sums, profiles, space)
    if measured is not None:
        altered_features(measured, batch=measured_within).to_csv(folder / "altered.csv", index=False)
    scale = _Scale(store_contrast(store), _model_contrast(store, run), shown_pixel_um(store))
    pictures = [row for card in _drawn(store, run, shown, profiles, scale) for row in _written(folder, *card)]
    pd.DataFrame(pictures).to_csv(folder / "pictures.csv", index=False)
    _with_places(shown, store).to_csv(folder / "cells.csv", index=False)
    facts = {"space": space, "channels": store.channels, "bar_um": scale.bar_um(store)}
    facts |= {"limits": scale.cells.tolist(), "model_limits": scale.decoded.tolist()}
    write_json(folder / "facts.json", facts | {"no_agreement": reason, "cards": shown[v.PERTURBATION].nunique()})
    return int(shown[v.PERTURBATION].nunique())


def _draw_tables(folder: Path, sums: AnnData, profiles: AnnData, space: str) -> str:
    """Neighbours, guides and their agreement; and why there is no agreement, if there is none."""
    guides = centred(averaged(sums, by="guide"))
    nearest_perturbations(profiles, space=space).to_csv(folder / "neighbours.csv", index=False)
    agreement, reason = pd.DataFrame(columns=["space", "metric", v.PERTURBATION, v.GUIDE, "value"]), ""
    try:
        agreement = guide_agreement(guides, spaces=[space])
    except BenchmarkError as error:
        reason = str(error)
    agreement.to_csv(folder / "agreement.csv", index=False)
    guide_table(guides, agreement, space=space).to_csv(folder / "guides.csv", index=False)
    return reason


def _model_contrast(store: CropStore, run: Run) -> Limits:
    """Black and white points of the model's range, of cells at random."""
    rows = np.random.default_rng(0).choice(len(store), min(_FOR_CONTRAST, len(store)), replace=False)
    return limits_of(run.images(store, np.sort(rows)))


def _drawn(
    store: CropStore, run: Run, shown: pd.DataFrame, profiles: AnnData, scale: _Scale
) -> Iterator[tuple[int, str, list[Sheet]]]:
    """Number, perturbation and sheets of each card."""
    cards = list(shown.groupby(v.PERTURBATION, sort=False))
    parts = [cards[start : start + _AT_ONCE] for start in range(0, len(cards), _AT_ONCE)]
    for part, inside in enumerate(track(parts, "Drawing cards", len(parts))):
        together = pd.concat([card for _, card in inside])
        images, decoded = _images(store, together), _decoded(store, run, together, profiles)
        ends = np.cumsum([len(card) for _, card in inside])
        for number, ((name, card), end) in enumerate(zip(inside, ends, strict=True), start=part * _AT_ONCE):
            own = slice(end - len(card), end)
            drawn = sheets(
                {row: values[own] for row, values in images.items()},
                channels=store.channels,
                limits=scale.cells,
                first_part=int((card["kind"] == card["kind"].iloc[0]).sum()),
                decoded=None if decoded is None else _part(decoded, own, scale),
                pixel_size_um=scale.pixel_um,
            )
            yield number, str(name), drawn


def _images(store: CropStore, shown: pd.DataFrame) -> dict[str, Images]:
    """What each row of real cells shows, (B, C, H, W) each."""
    rows = {CELLS: "row", MATCHED: "control", RANDOM: "random", OTHER: "other"}
    return {what: shown_cells(store, shown[column].to_numpy()) for what, column in rows.items()}


def _part(decoded: tuple[Images, Images, Images], own: slice, scale: _Scale) -> Decoded:
    """What is decoded for one card."""
    actual, without, control = (images[own] for images in decoded)
    return Decoded(actual, without, control, scale.decoded)


def _decoded(
    store: CropStore, run: Run, shown: pd.DataFrame, profiles: AnnData
) -> tuple[Images, Images, Images] | None:
    """The cells as the model draws them, without their salient part, and as controls, if it has a salient space."""
    if not run.model.has_salient:
        return None
    rows = shown["row"].to_numpy()
    effect = np.asarray(profiles[shown[v.PERTURBATION].astype(str).tolist()].obsm[v.BACKGROUND])
    actual, without = run.counterfactual(store, rows)
    return actual, without, run.counterfactual(store, rows, background_effect=effect)[1]


def _written(folder: Path, number: int, name: str, drawn: list[Sheet]) -> list[dict[str, Any]]:
    """Write a card's sheets, as good as they may be within the card's bytes; a row of ``pictures.csv`` each."""
    for quality in _QUALITIES:
        files = [_webp(sheet, quality) for sheet in drawn]
        if sum(map(len, files)) <= CARD_BYTES:
            break
    rows = []
    for place, (sheet, content) in enumerate(zip(drawn, files, strict=True)):
        # Numbers tell apart what plain letters cannot.
        file = f"{number:04d}_{_plain(name)}_{place}_{_plain(sheet.view)}.webp"
        write_bytes(folder / file, content)
        rows.append(
            {
                v.PERTURBATION: name,
                "view": sheet.view,
                "file": file,
                "rows": " ".join(sheet.rows),
                "amplification": sheet.amplification,
                "height": sheet.picture.shape[0],
                "width": sheet.picture.shape[1],
            }
        )
    return rows


def _webp(sheet: Sheet, quality: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(sheet.picture).save(content, "WEBP", quality=quality, method=4)
    return content.getvalue()


def _plain(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip(".-")[:40] or "x"


def _with_places(shown: pd.DataFrame, store: CropStore) -> pd.DataFrame:
    """The cells shown, with plate, well, tile and guide."""
    places = [name for name in _WHERE if name in store.column_names]
    columns = {name: store.column(name)[shown["row"].to_numpy()].to_numpy() for name in places}
    return shown.assign(**columns)
