"""Gene functions: confusion matrices, recall by group in one space less another, and a map of guides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrascope.benchmarks.functions import resampled_recall
from contrascope.benchmarks.gene_groups import Groups, gene_groups_from, one_group_each
from contrascope.errors import FigureError, first_few
from contrascope.figures.confusion import draw_confusion, height_of, short, spaces_shown
from contrascope.figures.scatter import umap
from contrascope.figures.style import COLUMN, INK, PAGE, colours, page, rows_of, styled
from contrascope.profiles.aggregate import flags
from contrascope.profiles.maps import umap_maps
from contrascope.vocabulary import BACKGROUND, CONTROL, PERTURBATION, SALIENT

NO_FUNCTION = "none or several"


@styled
def gene_functions(table: pd.DataFrame) -> Figure:
    """Confusion matrices above; below them balanced accuracy, and recall in background less that in salient space.

    Args:
        table: Of the benchmark ``functions``.
    """
    spaces = spaces_shown(table)
    both = {BACKGROUND, SALIENT} <= set(table.loc[table["metric"] == "gene recall", "space"])
    above, below = height_of(table, len(spaces)), _height_of_bars(table) if both else 1.9
    figure = page(PAGE, above + below)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[above, below]))
    draw_confusion(top, table, spaces)
    panels = bottom.subplots(1, 2 if both else 1, squeeze=False)[0]
    _balanced_accuracy(panels[0], table)
    if both:
        _differences(panels[1], table, BACKGROUND, SALIENT)
    return figure


@styled
def recall_differences(table: pd.DataFrame, *, first: str = BACKGROUND, second: str = SALIENT) -> Figure:
    """A bar a group: its recall in one space less that in another, with 95 % of resampled genes.

    Args:
        table: Of the benchmark ``functions``.
        first, second: Spaces of it; a group that the first tells better has a bar to the right.
    """
    figure = page(COLUMN, _height_of_bars(table))
    _differences(figure.subplots(), table, first, second)
    return figure


@styled
def function_map(
    guides: AnnData,
    annotations: Groups,
    *,
    spaces: Sequence[str] = (BACKGROUND, SALIENT),
    seed: int = 0,
) -> Figure:
    """UMAP of guide profiles in each space, coloured by the function of the gene; genes without one are grey.

    Args:
        guides: Guide profiles, or those of perturbations; controls are not shown.
        annotations: As for the benchmark ``functions``.
        spaces: Keys of ``obsm``, or ``combined``.
        seed: Of UMAP.
    """
    shown = guides[~flags(guides.obs[CONTROL])]
    genes = shown.obs[PERTURBATION].astype(str)
    group_of, _ = one_group_each(gene_groups_from(annotations), set(genes))
    maps = umap_maps(shown, spaces=spaces, columns=(), max_cells=shown.n_obs, seed=seed)
    coordinates = {space: maps[[f"{space} 1", f"{space} 2"]].to_numpy() for space in spaces}
    functions = [group_of.get(gene, NO_FUNCTION) for gene in genes]
    return umap(coordinates, functions, label="function", top=10, grey=NO_FUNCTION)


def differences(table: pd.DataFrame, *, first: str = BACKGROUND, second: str = SALIENT, seed: int = 0) -> pd.DataFrame:
    """Recall of each group in the first space less that in the second, the largest first.

    Args:
        table: Of the benchmark ``functions``.
        seed: Of the resampled genes, which are the same in both spaces.

    Returns:
        Indexed by group: ``difference``, and ``low`` and ``high``, 95 % of resamples.
    """
    genes = rows_of(table, "gene recall")
    if lacking := [space for space in (first, second) if space not in set(genes["space"])]:
        raise FigureError(
            f"Recall was to be compared between {first} and {second}, but the table has no {' and no '.join(lacking)}: "
            f"it has {first_few(dict.fromkeys(genes['space']))}. Say first=... and second=..., two of them."
        )
    wide = genes.pivot(index=["truth", "gene"], columns="space", values=["value", "n"])
    rows = {}
    for group, inside in wide.groupby(level="truth", sort=False):
        guides = inside["n"][first].to_numpy(dtype=float)
        hits = {space: inside["value"][space].to_numpy(dtype=float) * guides for space in (first, second)}
        drawn = {space: resampled_recall(hits[space], guides, np.random.default_rng(seed)) for space in hits}
        low, high = np.percentile(drawn[first] - drawn[second], [2.5, 97.5])
        rows[group] = {"difference": (hits[first] - hits[second]).sum() / guides.sum(), "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("difference", ascending=False, kind="stable")


def _height_of_bars(table: pd.DataFrame) -> float:
    return 0.8 + 0.17 * rows_of(table, "gene recall")["truth"].nunique()


def _differences(axes: Axes, table: pd.DataFrame, first: str, second: str) -> None:
    found = differences(table, first=first, second=second)
    fill, place = colours([first, second]), np.arange(len(found))
    better = np.where(found["difference"] > 0, fill[first], fill[second])
    axes.barh(place, found["difference"], 0.7, color=list(better))
    axes.hlines(place, found["low"], found["high"], color=INK, linewidth=1)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(place, [short(str(name)) for name in found.index])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    reach = 1.05 * max(0.1, float(np.abs(found[["low", "high"]].to_numpy()).max()))
    axes.set(xlim=(-reach, reach), xlabel=f"← {second} better       {first} better →")
    axes.set_title(f"recall, {first} − {second}")
    axes.grid(axis="x")


def _balanced_accuracy(axes: Axes, table: pd.DataFrame) -> None:
    """Bars with the interval of resampled genes; the null as a line at its mean and a dotted one at its 95 %."""
    rows = rows_of(table, "balanced accuracy").reset_index(drop=True)
    fill = colours(list(rows["space"]))
    axes.barh(rows.index, rows["value"], 0.7, color=[fill[space] for space in rows["space"]])
    axes.hlines(rows.index, rows["low"], rows["high"], color=INK, linewidth=1)
    place = np.arange(len(rows))
    axes.vlines(rows["null_mean"], place - 0.4, place + 0.4, color=INK, linewidth=1.4)
    axes.vlines(rows["null_p95"], place - 0.4, place + 0.4, color=INK, linewidth=1.2, linestyle=":")
    axes.set_yticks(rows.index, rows["space"])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), xlabel="│ permuted groups: mean, ┆ 95 %", title="balanced accuracy")
    axes.grid(axis="x")
