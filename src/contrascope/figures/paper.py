"""The paper's Figures 2, 3 and 4, panel for panel, of any screen that has what they need.

    2A  precision and recall of complexes by model        2B  by space      2C  by what the priors are told
    3A  maps of cells by batch, place in the field and place in the well    3B  what can be read of these
    4A  maps of perturbations by function                 4B  confusion of functions        4C  recall by space
    4D  share of the controls' first component that top features explain    4E  the names of these features

A panel that cannot be drawn is left out, with a sentence on what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure

from contrascope.benchmarks.gene_groups import Groups
from contrascope.benchmarks.result import Result
from contrascope.benchmarks.targets import Classes, NotComputable, field_target, well_target
from contrascope.figures.artifacts import artifact_bars
from contrascope.figures.complexes import sweep
from contrascope.figures.confusion import confusion_matrices
from contrascope.figures.explained import explained_curves, top_features
from contrascope.figures.functions import function_map, recall_differences
from contrascope.figures.scatter import umap
from contrascope.profiles.maps import umap_maps
from contrascope.vocabulary import BACKGROUND, BATCH, COMBINED, INTENSITY, SALIENT, UNTRAINED

ABLATIONS = ("cvae", "cvae-s", "cvae-z")
"""Models of panel 2C besides the main one."""
_BOTH = (BACKGROUND, SALIENT)


class Lacking(Exception):  # noqa: N818
    """What a panel lacks."""


@dataclass(frozen=True)
class Material:
    """All that the panels are drawn of.

    Attributes:
        cells: Of the screen, with their embeddings.
        profiles: Of its perturbations.
        guides: Of its guides.
        results: Benchmark -> what it found.
        model: What the main model is called.
        others: Names of the embeddings beside it, whose spaces are called ``NAME``, ``NAME combined`` and so on.
        functions: Gene -> function, as the benchmark ``functions`` takes it.
        seed: Of the maps.
    """

    cells: AnnData
    profiles: AnnData
    guides: AnnData
    results: Mapping[str, Result]
    model: str = "mcvae"
    others: Sequence[str] = ()
    functions: Groups | None = None
    seed: int = 0

    def table(self, benchmark: str) -> pd.DataFrame:
        """What a benchmark found."""
        if benchmark not in self.results:
            raise Lacking(f"the benchmark {benchmark}")
        return self.results[benchmark].table

    @cached_property
    def both(self) -> list[str]:
        """Background and salient space."""
        if missing := [space for space in _BOTH if space not in self.cells.obsm]:
            raise Lacking(f"a {' and a '.join(missing)} space")
        return list(_BOTH)

    @property
    def features(self) -> list[str]:
        """Embeddings beside the model's that have but one space, such as CellProfiler's features."""
        return [name for name in self.others if name in self.cells.obsm and name not in (*ABLATIONS, "vae")]

    @cached_property
    def map_of_cells(self) -> pd.DataFrame:
        """UMAP of both spaces, a row a cell, with its row among the cells."""
        table = umap_maps(self.cells, spaces=self.both, columns=(BATCH,), seed=self.seed)
        return table.assign(row=self.cells.obs_names.get_indexer(table["cell_id"]))


def draw_paper(material: Material) -> tuple[dict[str, Figure], dict[str, str]]:
    """The panels that can be drawn, and what each of the others lacks."""
    drawn, lacking = {}, {}
    for name, panel in PANELS.items():
        try:
            drawn[name] = panel(material)
        except Lacking as what:
            lacking[name] = f"Panel {name} lacks {what}."
    return drawn, lacking


def models(material: Material) -> Figure:
    """Panel 2A: the main model, those beside it, features, and both baselines; whole embeddings."""
    named = _whole(material, [name for name in material.others if name not in ABLATIONS[1:]])
    table = material.table("complexes")
    if not named:
        raise Lacking("another embedding to compare with, such as a vae, a cvae or features")
    return sweep(_renamed(table, {COMBINED: material.model} | named | _baselines(table)), title="models")


def spaces(material: Material) -> Figure:
    """Panel 2B: each space alone, and both."""
    table, wanted = material.table("complexes"), [*material.both, COMBINED]
    return sweep(_renamed(table, {space: space for space in wanted}), title=f"spaces of {material.model}")


def priors(material: Material) -> Figure:
    """Panel 2C: which prior is told the perturbation."""
    named = _whole(material, [name for name in ABLATIONS if name in material.others])
    if len(named) < len(ABLATIONS):
        missing = [name for name in ABLATIONS if name not in named.values()]
        raise Lacking(f"the {'models' if len(missing) > 1 else 'model'} {', '.join(missing)} beside {material.model}")
    return sweep(_renamed(material.table("complexes"), {COMBINED: material.model} | named), title="label in the prior")


def maps_by_batch(material: Material) -> Figure:
    """Panel 3A, top."""
    table = material.map_of_cells
    if BATCH not in table:
        raise Lacking("the batch of each cell")
    return umap(_coordinates(table, material.both), table[BATCH].astype(str), label="batch")


def maps_by_field(material: Material) -> Figure:
    """Panel 3A, middle: cells of one batch, at the centre and the border of the field."""
    return _maps_by_place(material, field_target, "place in the field", ("centre", "border"))


def maps_by_well(material: Material) -> Figure:
    """Panel 3A, bottom: cells of one batch, at the centre and the edge of the well."""
    return _maps_by_place(material, well_target, "place in the well", ("centre", "edge"))


def artefacts(material: Material) -> Figure:
    """Panel 3B: F1 and AUROC of each target, from each space and from features."""
    table = material.table("artifacts")
    wanted = {space: space for space in (SALIENT, BACKGROUND, COMBINED, *material.features)}
    shown = _renamed(table, wanted)
    return artifact_bars(
        shown[shown["metric"].isin(["F1", "AUROC"]) & shown["target"].isin(["batch", "field", "well"])]
    )


def maps_by_function(material: Material) -> Figure:
    """Panel 4A."""
    if material.functions is None:
        raise Lacking("functions of genes")
    return function_map(material.profiles, material.functions, spaces=material.both, seed=material.seed)


def maps_of_guides(material: Material) -> Figure:
    """Panel 4A as the text of the paper has it, a point a guide."""
    if material.functions is None:
        raise Lacking("functions of genes")
    return function_map(material.guides, material.functions, spaces=material.both, seed=material.seed)


def confusions(material: Material) -> Figure:
    """Panel 4B."""
    return confusion_matrices(material.table("functions"))


def recalls(material: Material) -> Figure:
    """Panel 4C: bars to the right are told better from the background."""
    return recall_differences(_renamed(material.table("functions"), {space: space for space in material.both}))


def explained(material: Material) -> Figure:
    """Panel 4D."""
    return explained_curves(_of_features(material))


def names_of_features(material: Material) -> Figure:
    """Panel 4E."""
    return top_features(_of_features(material))


PANELS: dict[str, Callable[[Material], Figure]] = {
    "2A": models,
    "2B": spaces,
    "2C": priors,
    "3A batch": maps_by_batch,
    "3A field": maps_by_field,
    "3A well": maps_by_well,
    "3B": artefacts,
    "4A": maps_by_function,
    "4A guides": maps_of_guides,
    "4B": confusions,
    "4C": recalls,
    "4D": explained,
    "4E": names_of_features,
}


def _whole(material: Material, names: Sequence[str]) -> dict[str, str]:
    """Space -> what it is called: the whole embedding of each of the others, all of its spaces side by side."""
    there = set(material.table("complexes")["space"])
    found = {name: next((s for s in (f"{name} {COMBINED}", name) if s in there), None) for name in names}
    return {space: name for name, space in found.items() if space is not None}


def _baselines(table: pd.DataFrame) -> dict[str, str]:
    return {space: space for space in (UNTRAINED, INTENSITY) if space in set(table["space"])}


def _renamed(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The rows of some spaces, under other names and in their order."""
    there = [space for space in names if space in set(table["space"])]
    if not there:
        raise Lacking(f"the spaces {', '.join(names)}")
    parts = [table[table["space"] == space].assign(space=names[space]) for space in there]
    return pd.concat(parts, ignore_index=True)


def _coordinates(table: pd.DataFrame, spaces: Sequence[str]) -> dict[str, np.ndarray]:
    return {space: table[[f"{space} 1", f"{space} 2"]].to_numpy() for space in spaces}


def _maps_by_place(material: Material, target: Callable[..., Classes], label: str, names: tuple[str, str]) -> Figure:
    """The map of all cells, of which those of the batch with most cells at either place are shown."""
    try:
        rows, classes = max(
            target(material.cells.obs, np.arange(material.cells.n_obs), max_cells=material.cells.n_obs).problems,
            key=lambda problem: len(problem[0]),
        )
    except NotComputable as why:
        raise Lacking(f"cells at either {label}: {why}") from None
    table = material.map_of_cells
    place = pd.Series(classes, index=rows).reindex(table["row"]).to_numpy()
    shown = table[np.isfinite(place)]
    if shown.empty:
        raise Lacking(f"mapped cells at either {label}")
    values = [names[int(which)] for which in place[np.isfinite(place)]]
    return umap(_coordinates(shown, material.both), values, label=label)


def _of_features(material: Material) -> pd.DataFrame:
    """What features explain: those beside the model where there are any, else intensities, else its own spaces."""
    table = material.table("explained")
    there = set(table["space"])
    wanted = [name for name in material.features if name in there] or [s for s in (INTENSITY,) if s in there]
    return _renamed(table, {space: space for space in wanted or sorted(there)})
