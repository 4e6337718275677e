"""What the finished stages of a screen left in its folder, opened when it is asked for, and once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anndata as ad
import pandas as pd

from contrascope import vocabulary as v
from contrascope.benchmarks import Result
from contrascope.benchmarks.suite import Judged
from contrascope.config import ScreenSettings
from contrascope.line import judging
from contrascope.profiles.beside import beside
from contrascope.report.quality import Quality, judge_quality
from contrascope.store.store import CropStore, open_store
from contrascope.tables import read_anndata
from contrascope.training.run import Run, open_run

CELLS_IN_MEMORY = 1_000_000
"""More than these are embedded into a folder, chunk by chunk, and profiles are made of their sums."""


@dataclass
class Finished:
    """The outcomes of a screen's stages; each is there once its stage is done.

    Attributes:
        settings: The screen file.
        out: The folder of all stages.
    """

    settings: ScreenSettings
    out: Path

    @property
    def store_path(self) -> Path:
        """Where the crops lie."""
        return self.out / "cells.zarr"

    @property
    def run_path(self) -> Path:
        """Where the run lies."""
        return self.out / "runs" / self.settings.model

    @property
    def cells_path(self) -> Path:
        """Where the embedded cells lie: a file, or a folder where there are too many for memory."""
        return self.out / "embedding" / f"cells.{'h5ad' if self.fits_memory else 'zarr'}"

    @property
    def fits_memory(self) -> bool:
        """Whether embeddings and features of all cells are held in memory."""
        return len(self.store) <= CELLS_IN_MEMORY

    @property
    def rival_path(self) -> Path:
        """Where CellProfiler's components lie."""
        return self.out / "features" / "cellprofiler.h5ad"

    def profiles_path(self, by: str) -> Path:
        """Where the profiles of guides, or of perturbations, lie."""
        return self.out / "profiles" / f"{by}.h5ad"

    @cached_property
    def store(self) -> CropStore:
        """The crops."""
        return open_store(self.store_path)

    @cached_property
    def quality(self) -> Quality:
        """How the store's tiles compare."""
        store = self.store
        return judge_quality(store.tiles, store.cells, store.dropped, store.channels, notes=store.notes)

    @cached_property
    def run(self) -> Run:
        """The trained model."""
        return open_run(self.run_path)

    @cached_property
    def cells(self) -> ad.AnnData:
        """The embedded cells."""
        return read_anndata(self.cells_path)

    @cached_property
    def profiles(self) -> dict[str, ad.AnnData]:
        """The profiles by guide and by perturbation."""
        return {by: read_anndata(self.profiles_path(by)) for by in (v.GUIDE, v.PERTURBATION)}

    @cached_property
    def judged(self) -> tuple[Judged, tuple[str, ...]]:
        """The cells as benchmarks take them, CellProfiler's features beside them if asked for; and how they match."""
        if self.settings.features is None:
            return Judged(self.cells, self.profiles), ()
        rival = read_anndata(self.rival_path)
        cells, notes = beside(self.cells, {v.CELLPROFILER: rival})
        if v.FEATURES in rival.obsm:
            cells.obsm[v.FEATURES] = rival[cells.obs_names].obsm[v.FEATURES]
        return Judged(cells), notes

    @property
    def results(self) -> dict[str, Result]:
        """The benchmarks that the data allowed."""
        found = {name: judging.answered(name, self.out / "benchmarks") for name in judging.questions(self.settings)}
        return {name: result for name, result in found.items() if result is not None}

    @property
    def unanswered(self) -> dict[str, str]:
        """Benchmarks that the data did not allow, and why."""
        names = [name for name in judging.questions(self.settings) if name not in self.results]
        return {name: judging.why_not(name, self.out / "benchmarks") for name in names}

    @property
    def map_table(self) -> pd.DataFrame:
        """Where the cells lie in the maps, as the figures stage left it."""
        return pd.read_csv(self.out / "figures" / "umap_perturbation.csv", dtype={v.CELL_ID: str})
