"""The straight line in one function, ``run_screen``; the table of contents of the package.

    screen -> store -> quality -> run -> cells -> profiles -> benchmarks -> figures -> cards -> report

Each stage leaves its outcome in one folder and is known by a fingerprint of all it was made from. A stage
whose fingerprint stands in ``stages.json`` is skipped; one that changed is made again, and so is what
depends on it, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.benchmarks import Result
from contrascope.config import ScreenSettings, training_settings
from contrascope.cores import cores
from contrascope.embedding import embed, embed_to_h5ad
from contrascope.embedding.on_disk import remove_cells
from contrascope.errors import BenchmarkError, RunError, SettingsError, first_few
from contrascope.features.parts import measure_cells
from contrascope.features.reduce import account, reduce_features
from contrascope.line import judging
from contrascope.line.cards import draw_cards
from contrascope.line.finished import Finished
from contrascope.line.made_from import MadeFrom
from contrascope.line.page import screen_page
from contrascope.line.pictures import draw_pictures, picture_names, save_picture
from contrascope.line.stages import Stages, key
from contrascope.line.thumbnails import draw_thumbnails
from contrascope.line.training_run import parent_run, room_for
from contrascope.profiles import profile
from contrascope.profiles.aggregate import By
from contrascope.profiles.maps import mapped_rows
from contrascope.profiles.sums import sums_path
from contrascope.progress import report as report_progress
from contrascope.registry import ARCHITECTURES, MODELS
from contrascope.report.quality_page import quality_figures
from contrascope.report.sheets import INDEX, read_sheets
from contrascope.screen.screen import Screen, open_screen
from contrascope.store.crops import extract_crops
from contrascope.store.files import write_bytes
from contrascope.store.store import CropStore, open_store
from contrascope.store.writer import remove_store
from contrascope.tables import read_anndata, write_anndata
from contrascope.training.distributed import Devices, devices_per_node, launched
from contrascope.training.fit import fit
from contrascope.training.run import Run, open_run

_MEASURING = 4
"""Processes that measure cells, at most."""


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
    _refuse_company()
    screen, out = open_screen(screen_file, overrides), local_path(out)
    # Before hours go into cells that could not be trained on, or that the run to start from does not fit.
    _refuse_unknown(screen)
    parent_run(Finished(screen.settings, out))
    line = Line(screen, out, say, devices)
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
    page = line.report()
    line.refuse_unanswered()
    return page


def _refuse_company() -> None:
    """Make sure that no launcher has started this line several times over: each would write into the same folder."""
    if (world := launched()) is not None:
        raise SettingsError(
            f"contrascope run was started as {world.size} processes, and is a line for one. Start it once with "
            f"--devices, or start its stages by themselves: contrascope train and embed share what they do."
        )


def _refuse_unknown(screen: Screen) -> None:
    """Make sure that there are such a model, architecture, columns and benchmarks, and the files that these name."""
    training = training_settings(10_000, **screen.settings.training)
    MODELS[screen.settings.model]
    ARCHITECTURES[training.architecture]
    if lacking := [name for name in training.technical if name not in screen.cells.columns]:
        raise SettingsError(
            f"training.technical names {', '.join(lacking)}, which {screen.settings.cells.table} does not have. Choose "
            f"from: {first_few(screen.cells.columns, 30)}."
        )
    if (features := screen.settings.features) is not None and features.batch not in screen.cells.columns:
        raise SettingsError(
            f"features.batch is '{features.batch}', which {screen.settings.cells.table} does not have. Choose from: "
            f"{first_few(screen.cells.columns, 30)}."
        )
    judging.refuse_misput(screen.settings)


def report_again(
    screen_file: str | Path,
    out: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """The report of stages that are done, written anew; arguments as of ``run_screen``.

    Raises:
        RunError: A stage is not done, or was done with other settings.
    """
    line = Line(open_screen(screen_file, overrides), local_path(out), say)
    if not (line.out / "report.html").exists():
        raise RunError(f"{out} has no report yet. Make it with `contrascope run {screen_file} --out {out}`.")
    line.made_from.refuse_changed()
    line.quality()
    line.thumbnails()
    line.cards()
    line.redo("report")
    return line.report()


@dataclass
class Line:
    """The stages of one screen in one folder.

    Attributes:
        screen: Where it begins.
        out: Where everything goes.
        say: Told what is done.
        devices: That train and embed, as of ``run_screen``.

    ``made`` has what finished stages left, ``made_from`` says what each is made from.
    """

    screen: Screen
    out: Path
    say: Callable[[str], None]
    devices: Devices = 1

    def __post_init__(self) -> None:
        devices_per_node(self.devices, 1, None)  # before the work
        self._stages = Stages(self.out, inputs=self.screen.inputs, name=self.settings.name)
        self.made = Finished(self.settings, self.out)
        self.made_from = MadeFrom(self.screen, self.made, self._stages)

    @property
    def settings(self) -> ScreenSettings:
        """The screen file."""
        return self.screen.settings

    def store(self) -> CropStore:
        """Crops of all cells."""
        path, made_from = self.made.store_path, self.made_from.store
        if self._stages.is_done("store", made_from, path / "zarr.json"):
            self.say("store: done before")
            return open_store(path)
        if "store" in self._stages and self._stages["store"] != made_from:
            self.say("store: settings changed, cells are cut out again")
            remove_store(path)
        self._stages.set("store", made_from)  # before the work: an unfinished store is gone on with
        store = extract_crops(self.screen, path)
        for text in (str(store.account), *(f"note: {note}" for note in store.notes)):
            self.say(f"store: {text}")
        return store

    def quality(self) -> Path:
        """Tables and figures of the tiles' quality, before anything is learnt from them."""
        folder, made_from = self.out / "quality", key("quality", self._stages["store"])
        tables = [folder / f"{name}.csv" for name in ("tiles", "wells", "outliers")]
        if self._stages.is_done("quality", made_from, *tables):
            self.say("quality: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        quality, images = self.made.quality, self.settings.images
        moved = [name for name in images.channel_names if images.align and name != images.reference_channel]
        for name, (figure, numbers) in quality_figures(quality, moved).items():
            save_picture(figure, folder / name, numbers)
        for name, table in (("tiles", quality.tiles), ("wells", quality.wells), ("outliers", quality.outliers())):
            table.write_csv(folder / f"{name}.csv")
        self._stages.set("quality", made_from)
        self.say(f"quality: {quality.outliers().height:,} of {quality.tiles.height:,} tiles stick out")
        return folder

    def run(self) -> Run:
        """The trained model."""
        store, name, path = self.made.store, self.settings.model, self.made.run_path
        parent = parent_run(self.made)
        trained, made_from = self.made_from.run(parent)
        if self._stages.is_done(f"run {name}", made_from, path / "run.json"):
            self.say("run: done before")
            return open_run(path)
        with room_for(path, trained):
            run = fit(store, model=name, out=path, devices=self.devices, start_from=parent, **self.settings.training)
        self._stages.set(f"run {name}", made_from)
        self.say(f"run: {run}")
        return run

    def cells(self) -> ad.AnnData:
        """Every cell in the model's spaces."""
        wanted = self.settings.embedding.model_dump(exclude_defaults=True)
        path, made_from = self.made.cells_path, self.made_from.cells
        filled = path.suffix == ".zarr"
        if self._stages.is_done("cells", made_from, path / "zarr.json" if filled else path):
            self.say("embedding: done before")
            return read_anndata(path)
        if filled:
            if "cells" in self._stages and self._stages["cells"] != made_from:
                remove_cells(path)
            self._stages.set("cells", made_from)  # before the work: an unfinished folder is gone on with
            embed(self.made.store, self.made.run, out=path, devices=devices_per_node(self.devices, 1, None), **wanted)
            cells = read_anndata(path)
        else:
            cells = embed_to_h5ad(self.made.store, self.made.run, path, **wanted)
            self._stages.set("cells", made_from)
        self.say(f"embedding: {cells.n_obs:,} cells in {', '.join(cells.obsm)}")
        return cells

    def profiles(self) -> dict[str, ad.AnnData]:
        """Profiles by guide and by perturbation."""
        made_from = key("profiles", self._stages["cells"])
        names: tuple[By, ...] = ("guide", "perturbation")
        paths = {by: self.made.profiles_path(by) for by in names}
        if self._stages.is_done("profiles", made_from, *paths.values()):
            self.say("profiles: done before")
            return {by: read_anndata(path) for by, path in paths.items()}
        sums = sums_path(self.made.cells_path)
        cells = read_anndata(sums) if sums.exists() else self.made.cells
        profiles: dict[str, ad.AnnData] = {by: profile(cells, by=by) for by in names}
        for by in names:
            write_anndata(profiles[by], paths[by])
        self._stages.set("profiles", made_from)
        self.say(f"profiles: {', '.join(f'{p.n_obs:,} by {by}' for by, p in profiles.items())}")
        return profiles

    def features(self) -> ad.AnnData | None:
        """What CellProfiler measures of the cells, as principal components, and by name where memory holds it all.

        None where the screen asks for none.
        """
        settings = self.settings.features
        if settings is None:
            return None
        path, made_from = self.made.rival_path, self.made_from.features
        if self._stages.is_done("features", made_from, path):
            self.say("features: done before")
            return read_anndata(path)
        path.parent.mkdir(exist_ok=True)
        workers = min(_MEASURING, cores())
        measured = measure_cells(self.made.store, path.with_name("measured.h5ad"), workers=workers, **settings.measured)
        reduced = reduce_features(
            measured.path, components=settings.components, batch=settings.batch, keep=self.made.fits_memory
        )
        write_anndata(reduced, path)
        self._stages.set("features", made_from)
        self.say(f"features: {measured}; {account(reduced)}")
        return reduced

    def results(self) -> dict[str, Result]:
        """The benchmarks that the screen file names, and those that the data allow."""
        folder = self.out / "benchmarks"
        self._stages.keep("benchmark ", judging.questions(self.settings))
        for name, options in judging.questions(self.settings).items():
            made_from = self.made_from.answer(name, options)
            if self._stages.is_done(f"benchmark {name}", made_from, folder / f"{name}_notes.json"):
                self.say(f"benchmark {name}: done before")
                continue
            report_progress(f"Benchmark {name}", 0, 1)
            result = judging.answer(name, self.made.judged[0].for_(name), options, folder)
            report_progress(f"Benchmark {name}", 1, 1)
            self._stages.set(f"benchmark {name}", made_from)
            self.say(f"benchmark {name}: {'left out' if result is None else f'{len(result.table):,} numbers'}")
        return self.made.results

    def figures(self) -> Path:
        """Pictures of cells, training and maps, each with its numbers as CSV."""
        folder = self.out / "figures"
        made_from = self.made_from.figures
        pictures = [folder / f"{name}.png" for name in picture_names(self.made.run)]
        if self._stages.is_done("figures", made_from, *pictures):
            self.say("figures: done before")
            return folder
        genes = self.made.profiles[v.PERTURBATION]
        draw_pictures(folder, self.made.store, self.made.run, self.made.cells, genes, map_cells=self.settings.map_cells)
        self._stages.set("figures", made_from)
        self.say(f"figures: {len(list(folder.glob('*.png')))} drawn")
        return folder

    def thumbnails(self) -> Path:
        """Small pictures of the cells in the maps."""
        folder, made_from = self.out / "maps", key("maps", self._stages["figures"])
        if self._stages.is_done("maps", made_from, folder / INDEX):
            self.say("maps: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        draw_thumbnails(folder, self.made.store, mapped_rows(len(self.made.store), len(self.made.map_table)))
        self._stages.set("maps", made_from)
        self.say(f"maps: pictures of {len(read_sheets(folder).rows):,} cells")
        return folder

    def cards(self) -> Path:
        """Pictures and tables of each perturbation's card."""
        folder, features = self.out / "cards", self.settings.features
        made_from = key("cards", self._stages["profiles"], *([] if features is None else self.made_from.rival))
        if self._stages.is_done("cards", made_from, folder / "facts.json"):
            self.say("cards: done before")
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        sums = sums_path(self.made.cells_path)
        averages = read_anndata(sums) if sums.exists() else self.made.cells
        measured = None if features is None else self.out / "features" / "measured.h5ad"
        within = v.BATCH if features is None else features.batch
        count = draw_cards(
            folder,
            self.made.store,
            self.made.run,
            self.made.cells_path,
            averages,
            measured=measured,
            measured_within=within,
        )
        self._stages.set("cards", made_from)
        self.say(f"cards: {count:,} drawn")
        return folder

    def report(self) -> Path:
        """The page that shows it all."""
        path = self.out / "report.html"
        shown = self.settings.model_dump(mode="json")  # with the screen's name, and what is not asked any more
        made_from = key("report", self._stages.others("report"), shown)
        if self._stages.is_done("report", made_from, path):
            self.say("report: done before")
            return path
        write_bytes(path, screen_page(self.made).encode())
        self._stages.set("report", made_from)
        self.say(f"report: {path}")
        return path

    def refuse_unanswered(self) -> None:
        """Say what the screen file asks by name and the data did not allow; all else is done by then.

        Raises:
            BenchmarkError: There is such a question.
        """
        asked = {name: why for name, why in self.made.unanswered.items() if judging.is_named(name, self.settings)}
        if asked:
            raise BenchmarkError(
                f"{' '.join(f'The benchmark {name} could not be computed: {why}' for name, why in asked.items())} The "
                f"screen file names it: correct its options, or take it out. All else is done, and shown in "
                f"{self.out / 'report.html'}."
            )

    def redo(self, stage: str) -> None:
        """Have a stage done again, whatever it was made from."""
        self._stages.forget(stage)
