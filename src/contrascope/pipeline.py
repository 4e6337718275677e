"""The straight line in one function, ``run_screen``; the table of contents of the package.

    screen -> store -> quality -> run -> cells -> profiles -> benchmarks -> figures -> cards -> report

Each stage leaves its outcome in one folder and is known by a fingerprint of all it was made from. A stage
whose fingerprint stands in ``stages.json`` is skipped; one that changed is made again, and so is what
depends on it, and nothing else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

from contrascope import judging
from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.benchmarks import Result
from contrascope.benchmarks.suite import Judged
from contrascope.cards import draw_cards
from contrascope.config import ScreenSettings, fingerprint, training_settings
from contrascope.embedding import embed
from contrascope.embedding.on_disk import remove_cells
from contrascope.errors import ContrascopeError, RunError, StoreError
from contrascope.features.parts import measure_cells
from contrascope.features.reduce import account, reduce_features
from contrascope.features.tables import FEATURES
from contrascope.pictures import draw_pictures, farthest, mapped_spaces, picture_names, save_picture
from contrascope.profiles import profile
from contrascope.profiles.aggregate import By
from contrascope.profiles.beside import beside
from contrascope.profiles.maps import mapped_rows
from contrascope.profiles.sums import sums_path
from contrascope.progress import report as report_progress
from contrascope.report import accounts, sections
from contrascope.report.gathered import read_gathered
from contrascope.report.maps import Maps, mapped_cells
from contrascope.report.overview import overview
from contrascope.report.perturbations import perturbation_frame
from contrascope.report.quality import Quality, judge_quality
from contrascope.report.quality_page import quality_figures, quality_section
from contrascope.report.report import render_report
from contrascope.report.sheets import INDEX, read_sheets
from contrascope.screen.screen import Screen, open_screen
from contrascope.store.crops import extract_crops, store_fingerprint
from contrascope.store.files import read_json, write_bytes, write_json
from contrascope.store.store import CropStore, open_store
from contrascope.store.writer import remove_store
from contrascope.tables import read_anndata, write_anndata
from contrascope.thumbnails import draw_thumbnails
from contrascope.training.distributed import Devices, asked_for
from contrascope.training.fit import fit, run_fingerprint
from contrascope.training.run import Run, open_run

_MEASURING = 4
"""Processes that measure cells, at most."""
CELLS_IN_MEMORY = 1_000_000
"""More than these are embedded into a folder, chunk by chunk, and profiles are made of their sums."""


def run_screen(
    screen_file: str | Path,
    out: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    devices: Devices = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """A screen from its tiles to its report.

    Args:
        screen_file: The screen file.
        out: The folder for everything; stages that are done there are skipped.
        overrides: Dotted setting -> value, on top of the file.
        devices: GPUs, or CPU processes where there is none, that train together and embed what is too large for
            memory; ``auto`` takes all GPUs. What is found does not depend on it.
        say: Told what is being done, and what was done already.

    Returns:
        Path of the report.

    Raises:
        ContrascopeError: Any of its kinds; what is finished stays.
    """
    line = Line(open_screen(screen_file, overrides), local_path(out), say, devices)
    line.store()
    line.quality()
    line.run()
    line.cells()
    line.profiles()
    line.features()
    line.results()
    line.figures()
    line.thumbnails()
    line.cards()
    return line.report()


def report_again(
    screen_file: str | Path,
    out: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """The report of stages that are done, written anew; arguments as of ``run_screen``.

    Raises:
        RunError: A stage is not done.
    """
    line = Line(open_screen(screen_file, overrides), local_path(out), say)
    if not (line.out / "report.html").exists():
        raise RunError(f"{out} has no report yet. Make it with `contrascope run {screen_file} --out {out}`.")
    line.quality()
    line.thumbnails()
    line.cards()
    line.forget("report")
    return line.report()


@dataclass
class Line:
    """The stages of one screen in one folder.

    Attributes:
        screen: Where it begins.
        out: Where everything goes.
        say: Told what is done.
        devices: That train and embed, as of ``run_screen``.
    """

    screen: Screen
    out: Path
    say: Callable[[str], None]
    devices: Devices = 1

    def __post_init__(self) -> None:
        asked_for(self.devices, 1, None)  # before the work
        if not self._record:
            _refuse_foreign(self.out)
        owner = self._record.setdefault("inputs", self.screen.inputs)
        if owner != self.screen.inputs:
            raise StoreError(
                f"{self.out} was made from other inputs: another cell table, or other tiles, than those of "
                f"'{self.screen.settings.name}'. Choose another folder, or delete this one."
            )
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.out} cannot be made: {error.strerror}. Choose another folder.") from None
        self._save_record()

    @property
    def settings(self) -> ScreenSettings:
        """The screen file."""
        return self.screen.settings

    def store(self) -> CropStore:
        """Crops of all cells."""
        path, made_from = self.out / "cells.zarr", store_fingerprint(self.screen)
        if self._is_done("store", made_from, path / "zarr.json"):
            self.say("store: done before")
            return open_store(path)
        if self._record.get("store", made_from) != made_from:
            self.say("store: settings changed, cells are cut out again")
            remove_store(path)
        self._record["store"] = made_from  # before the work: an unfinished store is gone on with
        self._save_record()
        store = extract_crops(self.screen, path)
        self.say(f"store: {store.account}")
        return store

    def quality(self) -> Path:
        """Tables and figures of the tiles' quality, before anything is learnt from them."""
        folder, made_from = self.out / "quality", self._key("quality", self._record["store"])
        if self._is_done("quality", made_from, *(folder / f"{name}.csv" for name in ("tiles", "wells", "outliers"))):
            self.say("quality: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        quality, images = self.quality_now, self.settings.images
        moved = [name for name in images.channel_names if images.align and name != images.reference_channel]
        for name, (figure, numbers) in quality_figures(quality, moved).items():
            save_picture(figure, folder / name, numbers)
        for name, table in (("tiles", quality.tiles), ("wells", quality.wells), ("outliers", quality.outliers())):
            table.write_csv(folder / f"{name}.csv")
        self._is_made("quality", made_from)
        self.say(f"quality: {quality.outliers().height:,} of {quality.tiles.height:,} tiles stick out")
        return folder

    def run(self) -> Run:
        """The trained model."""
        store, name = self.store_now, self.settings.model
        settings = training_settings(len(store), **self.settings.training)
        path, made_from = self.out / "runs" / name, run_fingerprint(store, name, settings)
        if self._is_done(f"run {name}", made_from, path / "run.json"):
            self.say("run: done before")
            return open_run(path)
        if _is_of_other_inputs(path, made_from):
            shutil.rmtree(path)  # what is unfinished stays: fit goes on with it
        run = fit(store, model=name, out=path, devices=self.devices, **self.settings.training)
        self._is_made(f"run {name}", made_from)
        self.say(f"run: {run}")
        return run

    def cells(self) -> ad.AnnData:
        """Every cell in the model's spaces."""
        path, made_from = self._cells_path, self._key("cells", self.run_now.fingerprint)
        filled = path.suffix == ".zarr"
        if self._is_done("cells", made_from, path / "zarr.json" if filled else path):
            self.say("embedding: done before")
            return read_anndata(path)
        if filled:
            if self._record.get("cells", made_from) != made_from:
                remove_cells(path)
            self._is_made("cells", made_from)  # before the work: an unfinished folder is gone on with
            embed(self.store_now, self.run_now, out=path, devices=asked_for(self.devices, 1, None))
            cells = read_anndata(path)
        else:
            cells = embed(self.store_now, self.run_now)
            write_anndata(cells, path)
            self._is_made("cells", made_from)
        self.say(f"embedding: {cells.n_obs:,} cells in {', '.join(cells.obsm)}")
        return cells

    def profiles(self) -> dict[str, ad.AnnData]:
        """Profiles by guide and by perturbation."""
        made_from = self._key("profiles", self._record["cells"])
        names: tuple[By, ...] = ("guide", "perturbation")
        paths = {by: self.out / "profiles" / f"{by}.h5ad" for by in names}
        if self._is_done("profiles", made_from, *paths.values()):
            self.say("profiles: done before")
            return {by: read_anndata(path) for by, path in paths.items()}
        sums = sums_path(self._cells_path)
        cells = read_anndata(sums) if sums.exists() else self.cells_now
        profiles: dict[str, ad.AnnData] = {by: profile(cells, by=by) for by in names}
        for by in names:
            write_anndata(profiles[by], paths[by])
        self._is_made("profiles", made_from)
        self.say(f"profiles: {', '.join(f'{p.n_obs:,} by {by}' for by, p in profiles.items())}")
        return profiles

    def features(self) -> ad.AnnData | None:
        """What CellProfiler measures of the cells, as principal components, and by name where memory holds it all.

        None where the screen asks for none.
        """
        settings = self.settings.features
        if settings is None:
            return None
        path = self.out / "features" / "cellprofiler.h5ad"
        made_from = self._key("features", self._record["store"], settings.model_dump(mode="json"))
        if self._is_done("features", made_from, path):
            self.say("features: done before")
            return read_anndata(path)
        path.parent.mkdir(exist_ok=True)
        workers = min(_MEASURING, os.cpu_count() or 1)
        measured = measure_cells(self.store_now, path.with_name("measured.h5ad"), workers=workers, **settings.measured)
        keep = len(self.store_now) <= CELLS_IN_MEMORY
        reduced = reduce_features(measured.path, components=settings.components, batch=settings.batch, keep=keep)
        write_anndata(reduced, path)
        self._is_made("features", made_from)
        self.say(f"features: {measured}; {account(reduced)}")
        return reduced

    def results(self) -> dict[str, Result]:
        """The benchmarks that the screen file names, and those that the data allow."""
        folder = self.out / "benchmarks"
        for name, options in judging.questions(self.settings).items():
            made_from = self._key(name, self._record["profiles"], options, judging.files_digest(options), *self._rival)
            if self._is_done(f"benchmark {name}", made_from, folder / f"{name}_notes.json"):
                self.say(f"benchmark {name}: done before")
                continue
            report_progress(f"Benchmark {name}", 0, 1)
            result = judging.answer(name, self.judged_now[0].for_(name), options, folder, named=bool(options))
            report_progress(f"Benchmark {name}", 1, 1)
            self._is_made(f"benchmark {name}", made_from)
            self.say(f"benchmark {name}: {'left out' if result is None else f'{len(result.table):,} numbers'}")
        return self.results_now

    def figures(self) -> Path:
        """Pictures of cells, training and maps, each with its numbers as CSV."""
        folder, made_from = (
            self.out / "figures",
            self._key("figures", self._record["profiles"], self.settings.map_cells),
        )
        if self._is_done("figures", made_from, *(folder / f"{name}.png" for name in picture_names(self.run_now))):
            self.say("figures: done before")
            return folder
        genes = self.profiles_now[v.PERTURBATION]
        draw_pictures(folder, self.store_now, self.run_now, self.cells_now, genes, map_cells=self.settings.map_cells)
        self._is_made("figures", made_from)
        self.say(f"figures: {len(list(folder.glob('*.png')))} drawn")
        return folder

    def thumbnails(self) -> Path:
        """Small pictures of the cells in the maps."""
        folder, made_from = self.out / "maps", self._key("maps", self._record["figures"])
        if self._is_done("maps", made_from, folder / INDEX):
            self.say("maps: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        draw_thumbnails(folder, self.store_now, mapped_rows(len(self.store_now), len(self._map_table)))
        self._is_made("maps", made_from)
        self.say(f"maps: pictures of {len(read_sheets(folder).rows):,} cells")
        return folder

    def cards(self) -> Path:
        """Pictures and tables of each perturbation's card."""
        folder, features = self.out / "cards", self.settings.features
        made_from = self._key("cards", self._record["profiles"], *([] if features is None else self._rival))
        if self._is_done("cards", made_from, folder / "facts.json"):
            self.say("cards: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        sums = sums_path(self._cells_path)
        averages = read_anndata(sums) if sums.exists() else self.cells_now
        measured = None if features is None else self.out / "features" / "measured.h5ad"
        within = v.BATCH if features is None else features.batch
        count = draw_cards(
            folder,
            self.store_now,
            self.run_now,
            self._cells_path,
            averages,
            measured=measured,
            measured_within=within,
        )
        self._is_made("cards", made_from)
        self.say(f"cards: {count:,} drawn")
        return folder

    def report(self) -> Path:
        """The page that shows it all."""
        path = self.out / "report.html"
        made_from = self._key("report", {k: x for k, x in self._record.items() if k != "report"})
        if self._is_done("report", made_from, path):
            self.say("report: done before")
            return path
        store, run, results = self.store_now, self.run_now, self.results_now
        folder, gathered = self.out / "figures", read_gathered(self.out / "cards")
        perturbations = perturbation_frame(gathered, results)
        page = render_report(
            self.settings.name,
            subtitle=f"{store!r}; model {run.model_name}.",
            facts=sections.headline_facts(store.account, len(store.perturbations), results),
            sections=[
                sections.overview_section(overview(results, perturbations, not_asked=self._not_asked)),
                sections.perturbations_section(perturbations, gathered),
                sections.went_in(str(store.account), accounts.dropped(store.account), accounts.counts(store.cells)),
                quality_section(self.quality_now, self.out / "quality"),
                sections.cells_section(folder),
                sections.training_section(run.facts["outcome"], folder),
                sections.maps_section(self._maps),
                sections.spaces_section(self.judged_now[1]),
                *(sections.benchmark_section(result, self.out / "benchmarks") for result in results.values()),
                *sections.not_asked_section(self._not_asked),
                sections.provenance_section(
                    {
                        "screen": self.settings.model_dump(mode="json"),
                        "training": run.settings.model_dump(mode="json"),
                    },
                    {"store": store.fingerprint, "run": run.fingerprint, "packages": run.facts["versions"]},
                ),
            ],
        )
        write_bytes(path, page.encode())
        self._is_made("report", made_from)
        self.say(f"report: {path}")
        return path

    # What later stages need of earlier ones is opened when it is asked for, and once.

    @cached_property
    def store_now(self) -> CropStore:
        """The finished store."""
        return open_store(self.out / "cells.zarr")

    @cached_property
    def quality_now(self) -> Quality:
        """How the store's tiles compare."""
        store = self.store_now
        return judge_quality(store.tiles, store.cells, store.dropped, store.channels)

    @cached_property
    def run_now(self) -> Run:
        """The finished run."""
        return open_run(self.out / "runs" / self.settings.model)

    @cached_property
    def cells_now(self) -> ad.AnnData:
        """The embedded cells."""
        return read_anndata(self._cells_path)

    @cached_property
    def profiles_now(self) -> dict[str, ad.AnnData]:
        """The profiles."""
        folder = self.out / "profiles"
        return {by: read_anndata(folder / f"{by}.h5ad") for by in (v.GUIDE, v.PERTURBATION)}

    @cached_property
    def judged_now(self) -> tuple[Judged, tuple[str, ...]]:
        """The cells as benchmarks take them, CellProfiler's features beside them if asked for; and how they match."""
        if self.settings.features is None:
            return Judged(self.cells_now, self.profiles_now), ()
        rival = read_anndata(self.out / "features" / "cellprofiler.h5ad")
        cells, notes = beside(self.cells_now, {v.CELLPROFILER: rival})
        if FEATURES in rival.obsm:
            cells.obsm[FEATURES] = rival[cells.obs_names].obsm[FEATURES]
        return Judged(cells), notes

    @property
    def _maps(self) -> Maps:
        """The maps of the page."""
        spaces = mapped_spaces(self.cells_now)
        return Maps(
            mapped_cells(self._map_table, self.cells_now, spaces),
            spaces,
            stored=len(self.store_now),
            sheets=read_sheets(self.out / "maps"),
            stills=sections.map_stills(self.out / "figures"),
            standing=farthest(self.profiles_now[v.PERTURBATION]),
        )

    @property
    def _map_table(self) -> pd.DataFrame:
        """Where the cells lie in the figures of the maps."""
        return pd.read_csv(self.out / "figures" / "umap_perturbation.csv", dtype={v.CELL_ID: str})

    @property
    def _rival(self) -> list[str]:
        return [] if self.settings.features is None else [self._record["features"]]

    @property
    def results_now(self) -> dict[str, Result]:
        """The finished benchmarks."""
        found = {name: judging.answered(name, self.out / "benchmarks") for name in judging.questions(self.settings)}
        return {name: result for name, result in found.items() if result is not None}

    @property
    def _not_asked(self) -> dict[str, str]:
        """Benchmarks that the data did not allow, and why."""
        folder = self.out / "benchmarks"
        names = [name for name in judging.questions(self.settings) if name not in self.results_now]
        return {name: judging.why_not(name, folder) for name in names}

    @property
    def _cells_path(self) -> Path:
        ending = "h5ad" if len(self.store_now) <= CELLS_IN_MEMORY else "zarr"
        return self.out / "embedding" / f"cells.{ending}"

    def _key(self, *made_from: object) -> str:
        return fingerprint([version("contrascope"), *made_from])

    @cached_property
    def _record(self) -> dict[str, str]:
        path = self.out / "stages.json"
        return read_json(path) if path.is_file() else {}

    def _save_record(self) -> None:
        path = self.out / "stages.json"
        if not path.is_file() or read_json(path) != self._record:
            write_json(path, self._record)

    def forget(self, stage: str) -> None:
        """Have a stage done again, whatever it was made from."""
        self._record.pop(stage, None)

    def _is_done(self, stage: str, made_from: str, *outcomes: Path) -> bool:
        return self._record.get(stage) == made_from and all(path.exists() for path in outcomes)

    def _is_made(self, stage: str, made_from: str) -> None:
        self._record[stage] = made_from
        self._save_record()


def _refuse_foreign(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} exists and holds something that is not ours. Choose another folder.")


def _is_of_other_inputs(run: Path, made_from: str) -> bool:
    """Whether a folder holds a run that is not the one wanted, or one that cannot be read."""
    if not (run / "run.json").is_file():
        return False
    try:
        return open_run(run).fingerprint != made_from
    except ContrascopeError:
        return True
