"""Pictures of a screen whose stages are done, each a PNG beside its numbers as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData

from contrascope import vocabulary as v
from contrascope.contrast import shown_cells, shown_pixel_um, store_contrast
from contrascope.figures.curves import training_curves
from contrascope.figures.gallery import composites, counterfactuals, pairs
from contrascope.figures.scatter import umap
from contrascope.profiles import averaged, centred
from contrascope.profiles.examples import examples
from contrascope.profiles.maps import umap_maps
from contrascope.progress import report
from contrascope.report.sections import COUNTERFACTUALS
from contrascope.sampling.split import SPLIT_NAMES, TEST, VALIDATION
from contrascope.store.store import CropStore
from contrascope.training.run import Run

SHOWN_PERTURBATIONS = 8
"""As many get a row of cells and a colour in the maps."""
_EXAMPLES = 10
_RECONSTRUCTED = 8
_OTHERS = "all others"


def picture_names(run: Run) -> list[str]:
    """Names of the pictures that ``draw_pictures`` makes, without ending."""
    names = ["cells", "reconstructions", "training", "umap_batch", "umap_field", "umap_perturbation"]
    return [*names, COUNTERFACTUALS] if run.model.has_salient else names


def draw_pictures(
    folder: Path, store: CropStore, run: Run, cells: AnnData, profiles: AnnData, *, map_cells: int
) -> None:
    """Cells, what the model keeps of them, training, and maps.

    Args:
        folder: Where they go.
        store: The cells' pixels.
        run: The model.
        cells: The cells embedded by it.
        profiles: Of perturbations.
        map_cells: Cells in the maps, at most.
    """
    folder.mkdir(exist_ok=True)
    shown = farthest(profiles)
    _draw_cells(folder, store, shown)
    _draw_reconstructions(folder, store, run)
    if run.model.has_salient:
        _draw_counterfactuals(folder, store, run, cells, shown)
    _draw_training(folder, run)
    _draw_maps(folder, cells, shown, map_cells)


def save_picture(figure: Any, path: Path, numbers: pd.DataFrame) -> None:
    """Write a figure as PNG and its numbers as CSV, under one name."""
    figure.savefig(path.with_suffix(".png"))
    numbers.to_csv(path.with_suffix(".csv"), index=False)


def _draw_cells(folder: Path, store: CropStore, shown: list[str]) -> None:
    rows, labels = _examples(store, shown)
    figure = composites(
        shown_cells(store, rows),
        labels,
        channels=store.channels,
        limits=store_contrast(store),
        pixel_size_um=shown_pixel_um(store),
    )
    save_picture(figure, folder / "cells", store.cells[rows].to_pandas())


def _draw_reconstructions(folder: Path, store: CropStore, run: Run) -> None:
    rows = np.random.default_rng(0).permutation(_held_out(run))[:_RECONSTRUCTED]
    images, decoded = run.reconstruct(store, rows)
    names = store.cells[rows][v.PERTURBATION].to_list()
    figure = pairs(images, decoded, channels=store.channels, rows=names, pixel_size_um=shown_pixel(store, run))
    error = np.square(images - decoded).mean((2, 3))
    errors = {f"mean squared error {name}": error[:, c] for c, name in enumerate(store.channels)}
    save_picture(figure, folder / "reconstructions", pd.DataFrame({"row": rows, v.PERTURBATION: names} | errors))


def _held_out(run: Run) -> np.ndarray:
    """Cells that were not trained on: those to test on, or where the split has none, those validated on."""
    parts = run.split().to_numpy()
    tested = np.flatnonzero(parts == SPLIT_NAMES[TEST])
    return tested if len(tested) else np.flatnonzero(parts == SPLIT_NAMES[VALIDATION])


def _draw_counterfactuals(folder: Path, store: CropStore, run: Run, cells: AnnData, shown: list[str]) -> None:
    rows = telling_cells(cells, shown)
    effect = np.asarray(centred(averaged(cells))[shown].obsm[v.BACKGROUND])
    actual, without = run.counterfactual(store, rows)
    _, control = run.counterfactual(store, rows, background_effect=effect)
    scale = shown_pixel(store, run)
    figure = counterfactuals(actual, without, control=control, channels=store.channels, rows=shown, pixel_size_um=scale)
    change = (actual - control).mean((2, 3))
    changes = {f"mean difference {name}": change[:, c] for c, name in enumerate(store.channels)}
    save_picture(figure, folder / COUNTERFACTUALS, pd.DataFrame({"row": rows, v.PERTURBATION: shown} | changes))


def telling_cells(cells: AnnData, shown: list[str]) -> np.ndarray:
    """Row of the cell that comes first on the card of each perturbation, one well along its effect if it has any."""
    rows = np.flatnonzero(cells.obs[v.PERTURBATION].isin(shown) | cells.obs[v.CONTROL])
    chosen = examples(cells[rows], typical=1, marked=1)
    first = chosen[chosen["place"] == 0].set_index(v.PERTURBATION)["row"]
    return rows[first[shown].to_numpy()]


def _draw_training(folder: Path, run: Run) -> None:
    metrics = run.metrics().filter(~pl.col("name").str.starts_with("latent/")).to_pandas()
    save_picture(training_curves(metrics), folder / "training", metrics)


def _draw_maps(folder: Path, cells: AnnData, shown: list[str], map_cells: int) -> None:
    spaces = mapped_spaces(cells)
    report("Drawing maps", 0, 1)
    columns = (v.BATCH, v.FIELD_DISTANCE, v.PERTURBATION, v.CONTROL)
    table = umap_maps(cells, spaces=spaces, columns=columns, max_cells=map_cells)
    maps = {space: table[[f"{space} 1", f"{space} 2"]].to_numpy() for space in spaces}
    perturbation = table[v.PERTURBATION].astype(str)
    others = np.where(perturbation.isin(shown), perturbation, _OTHERS)
    named = np.where(table[v.CONTROL], "control", others)
    coloured = {
        "umap_batch": (table[v.BATCH].astype(str), v.BATCH),
        "umap_field": (table[v.FIELD_DISTANCE], "distance from the field's centre"),
        "umap_perturbation": (pd.Series(named), v.PERTURBATION),
    }
    for name, (values, label) in coloured.items():
        save_picture(umap(maps, values, label=label, grey=_OTHERS), folder / name, table)
    report("Drawing maps", 1, 1)


def mapped_spaces(cells: AnnData) -> list[str]:
    """Spaces that have a map."""
    return [name for name in (v.BACKGROUND, v.SALIENT) if name in cells.obsm]


def farthest(profiles: AnnData) -> list[str]:
    """The few perturbations whose profile lies farthest from the controls in the salient space, farthest first."""
    space, control = v.SALIENT if v.SALIENT in profiles.obsm else v.BACKGROUND, profiles.obs[v.CONTROL].to_numpy()
    centre, names = profiles.obsm[space][control].mean(0), profiles.obs_names[~control]
    distance = np.linalg.norm(profiles.obsm[space][~control] - centre, axis=1)
    return names[np.argsort(-distance, kind="stable")[:SHOWN_PERTURBATIONS]].tolist()


def _examples(store: CropStore, shown: list[str]) -> tuple[np.ndarray, list[str]]:
    """Rows of random cells: controls, then each perturbation shown."""
    rng, rows, labels = np.random.default_rng(0), [], []
    number = {name: k for k, name in enumerate(store.perturbations, start=1)}
    for name, label in {"control": 0, **{name: number[name] for name in shown}}.items():
        chosen = rng.permutation(np.flatnonzero(store.labels == label))[:_EXAMPLES]
        rows.append(chosen)
        labels += [name] * len(chosen)
    return np.concatenate(rows), labels


def shown_pixel(store: CropStore, run: Run) -> float | None:
    """Width in micrometres of a pixel after resizing."""
    if store.pixel_size_um is None:
        return None
    return store.pixel_size_um * store.crop_size[0] / run.settings.image_size
