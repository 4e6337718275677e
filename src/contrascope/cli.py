"""The command line: parse, call, print. Everything it does is a function of the package.

Exit codes: 0 done, 1 something a user can put right (one paragraph), 2 wrong usage.
"""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from contrascope.addresses import is_url, local_path
from contrascope.commands.arguments import Facts, Json, Quiet, ScreenFile, Sets, Store, number_or_name, settings_in
from contrascope.commands.benchmark import benchmark
from contrascope.commands.features import features
from contrascope.commands.find_cells import find_cells
from contrascope.commands.import_crops import import_crops
from contrascope.commands.reduce import match_features, reduce_features
from contrascope.commands.view import view
from contrascope.errors import ContrascopeError, SettingsError

app = typer.Typer(
    help="What a perturbation does to cells in microscope images, apart from what cells do anyway.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the screen and all that is made of it.")] = Path("demo"),
    preset: Annotated[str, typer.Option(help="Size of the screen: tiny, small or medium.")] = "small",
    seed: Annotated[int, typer.Option(help="Equal seeds make equal screens.")] = 0,
    settings: Sets = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Take a synthetic screen through the whole line, and say where its report is.

    Example: contrascope demo --out demo
    """
    from contrascope.pipeline import run_screen

    with _telling(quiet) as say:
        screen = _simulated(out / "screen", preset, seed, say)
        shown = {"training.seed": seed} | settings_in(settings)
        report = run_screen(screen, out / "analysis", overrides=shown, say=say)
    _last(json_, {"report": str(report)}, f"The report is {report}")


@app.command()
def run(
    screen: ScreenFile,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")],
    devices: Annotated[
        str, typer.Option(help="GPUs that train and embed, or CPU processes where there is none; auto takes all GPUs.")
    ] = "1",
    settings: Sets = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Take a screen from tiles to report; stages that are done are skipped.

    Example: contrascope run screen.yaml --out analysis --devices auto
    """
    from contrascope.pipeline import run_screen

    with _telling(quiet) as say:
        report = run_screen(screen, out, overrides=settings_in(settings), devices=number_or_name(devices), say=say)
    _last(json_, {"report": str(report)}, f"The report is {report}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    preset: Annotated[str, typer.Option(help="tiny, small (about 10^4 cells) or medium (10^5).")] = "small",
    seed: Annotated[int, typer.Option(help="Equal seeds make equal screens.")] = 0,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write a synthetic screen: tiles, cell table, annotations, screen file and the truth.

    Example: contrascope simulate screen --preset tiny --seed 1
    """
    with _telling(quiet) as say:
        screen = _simulated(out, preset, seed, say)
    _last(json_, {"screen": str(screen)}, f"The screen file is {screen}")


@app.command()
def ingest(
    screen: ScreenFile,
    out: Annotated[Path, typer.Option(help="The store's folder, NAME.zarr.")],
    workers: Annotated[int, typer.Option(help="Processes that cut; the store's bytes do not depend on it.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to use instead.")] = None,
    on_bad_tile: Annotated[
        Literal["fail", "skip"] | None, typer.Option(help="What to do about tiles that cannot be read.")
    ] = None,
    settings: Sets = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Cut every cell of a screen out of its tile into a store.

    On a finished store, it checks every file and makes damaged ones again.

    Example: contrascope ingest screen.yaml --out cells.zarr --workers 4
    """
    from contrascope.screen.screen import open_screen
    from contrascope.store.crops import extract_crops

    with _telling(quiet):
        changes = settings_in(settings) | ({"images.on_bad_tile": on_bad_tile} if on_bad_tile else {})
        store = extract_crops(open_screen(screen, changes), out, workers=workers, scheduler=scheduler)
    account = store.account
    facts = {"store": str(out), "rows": account.rows, "stored": account.stored, "dropped": account.dropped}
    text = "\n".join([f"{out}: {account}", *(f"note: {note}" for note in store.notes)])
    _last(json_, facts | {"notes": store.notes}, text)


@app.command()
def train(
    store: Store,
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    model: Annotated[str, typer.Option(help="vae, cvae, cvae-s, cvae-z, mcvae or three-space.")] = "mcvae",
    preset: Annotated[
        str,
        typer.Option(
            help="auto fits the screen; clean keeps batch and place in the field out of s; paper is the authors'."
        ),
    ] = "auto",
    devices: Annotated[
        str, typer.Option(help="GPUs a machine, or CPU processes where there is none; auto takes all GPUs.")
    ] = "1",
    nodes: Annotated[int, typer.Option(help="Machines; start the command on them with torchrun or srun.")] = 1,
    start_from: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="A run whose weights to start with.")
    ] = None,
    logger: Annotated[
        list[str] | None, typer.Option(help="wandb or mlflow, besides metrics.csv and TensorBoard; may be repeated.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the training, such as epochs=20."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Train a model on a store.

    Example: contrascope train cells.zarr --out runs/mcvae --set epochs=20 --devices 2
    """
    from contrascope.store.store import open_store
    from contrascope.training.distributed import errors_once, launched
    from contrascope.training.fit import fit

    others = (world := launched()) is not None and world.rank > 0
    with _telling(quiet or others), errors_once(world):
        changes = settings_in(settings)
        if own := sorted(
            {"store", "out", "model", "preset", "devices", "nodes", "start_from", "loggers"} & changes.keys()
        ):
            raise SettingsError(f"--set {own[0]}=... is not how it is given. Use the argument or option of that name.")
        where: dict[str, Any] = {
            "out": out,
            "devices": number_or_name(devices),
            "nodes": nodes,
            "start_from": start_from,
        }
        trained = fit(open_store(store), model=model, preset=preset, loggers=logger or (), **where, **changes)
    if not others:
        _last(json_, {"run": str(out)} | trained.facts["outcome"], str(trained))


@app.command()
def embed(
    store: Store,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    out: Annotated[
        Path, typer.Option(help=".h5ad, made in memory; or .zarr, filled bit by bit, with sums for profiles beside it.")
    ],
    baselines: Annotated[bool, typer.Option(help="Also an untrained model and intensity statistics.")] = True,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="Also posterior standard deviations.")] = False,
    error: Annotated[bool, typer.Option("--error", help="Also the reconstruction error of each cell.")] = False,
    devices: Annotated[
        str, typer.Option(help="GPUs, or CPU processes where there is none, for a .zarr; auto takes all GPUs.")
    ] = "1",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Embed every cell of a store, with both baselines beside it.

    An unfinished .zarr is resumed.

    Example: contrascope embed cells.zarr runs/mcvae --out embedded.zarr
    """
    from contrascope.embedding import embed_to_file
    from contrascope.store.store import open_store
    from contrascope.training.distributed import errors_once, launched
    from contrascope.training.run import open_run

    others = (world := launched()) is not None and world.rank > 0
    with _telling(quiet or others), errors_once(world):
        out = local_path(out)  # before the work
        crops, wanted = open_store(store), {"baselines": baselines, "uncertainty": uncertainty, "error": error}
        spaces = embed_to_file(crops, open_run(run), out, devices=number_or_name(devices), **wanted)
    if not others:
        matrices = ", ".join(f"{name} ({size})" for name, size in sorted(spaces.items()))
        _last(json_, {"cells": str(out), "n": len(crops), "spaces": spaces}, f"{out}: {len(crops):,} cells, {matrices}")


@app.command()
def profile(
    cells: Annotated[Path, typer.Argument(metavar="CELLS", help="Embedded cells or their sums, .h5ad or .zarr.")],
    out: Annotated[Path, typer.Option(help="File to write, .h5ad or .zarr.")],
    by: Annotated[Literal["guide", "perturbation"], typer.Option(help="What gets a row.")] = "perturbation",
    correct: Annotated[
        str,
        typer.Option(
            help="How cells are corrected on controls: none; centre, standardise, robust or sphere, also with -batch; "
            "whiten, tvn-whiten or tvn-recolour."
        ),
    ] = "none",
    batch: Annotated[str, typer.Option(help="The column of batches that corrections go by.")] = "batch",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Profiles: the mean of each perturbation's or guide's cells, as z-scores; controls are a row of their own.

    Cells are read a block at a time, however many there are.

    Example: contrascope profile cells.h5ad --by guide --correct tvn-whiten --out guides.h5ad
    """
    if out.resolve() == cells.resolve():
        raise SettingsError(f"--out is {cells}, the cells themselves. Name another file; nothing was written.")
    from contrascope.profiles import profile as profile_cells
    from contrascope.tables import writable, write_anndata

    with _telling(quiet):
        out = writable(out)
        profiles = profile_cells(cells, by=by, correct=correct, batch=batch)
        write_anndata(profiles, out)
    _last(json_, {"profiles": str(out), "n": profiles.n_obs}, f"{out}: {profiles.n_obs:,} profiles by {by}")


@app.command()
def report(
    screen: ScreenFile,
    out: Annotated[Path, typer.Option(help="Folder that `contrascope run` has filled.")],
    settings: Sets = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the report of a screen again, from stages that are done.

    Example: contrascope report screen.yaml --out analysis
    """
    from contrascope.pipeline import report_again

    with _telling(quiet) as say:
        path = report_again(screen, out, overrides=settings_in(settings), say=say)
    _last(json_, {"report": str(path)}, f"The report is {path}")


@app.command()
def info(
    path: Annotated[str, typer.Argument(metavar="STORE|RUN", help="A crop store or its URL, or a run's folder.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Say what is in a store or a run.

    Example: contrascope info cells.zarr
    """
    from contrascope.store.store import open_store
    from contrascope.training.describe import described, latent_statistics
    from contrascope.training.run import open_run

    if not is_url(path) and (Path(path) / "run.json").exists():
        trained = open_run(path)
        _last(json_, trained.facts | {"latent spaces": latent_statistics(trained)}, described(trained))
        return
    store = open_store(path)
    facts = {
        "name": store.name,
        "cells": len(store),
        "channels": store.channels,
        "crop": list(store.crop_size),
        "dtype": str(store.dtype),
        "perturbations": len(store.perturbations),
        "account": str(store.account),
        "fingerprint": store.fingerprint,
        "provenance": store.provenance,
    }
    _last(json_, facts, f"{store}\n{yaml.safe_dump(facts, sort_keys=False)}")


@app.command()
def verify(
    store: Store,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Check every byte of a store against its checksums.

    Example: contrascope verify cells.zarr
    """
    from contrascope.store.damage import damage_report

    with _telling(quiet):
        damage_report(store)
    _last(json_, {"store": str(store), "sound": True}, f"{store} is sound: every file is what was written.")


def _answered(command: Callable[..., tuple[Facts, str]]) -> Callable[..., None]:
    """The command of a function that answers with facts and a text: run with progress, its last line printed."""

    @wraps(command)
    def answer(*arguments: Any, **options: Any) -> None:
        with _telling(options["quiet"]):
            facts, text = command(*arguments, **options)
        _last(options["json_"], facts, text)

    return answer


for _name, _command in (
    ("benchmark", benchmark),
    ("features", features),
    ("import-crops", import_crops),
    ("find-cells", find_cells),
    ("match-features", match_features),
    ("reduce-features", reduce_features),
):
    app.command(_name)(_answered(_command))


@app.command("view")
@wraps(view)
def _view(*arguments: Any, **options: Any) -> None:
    with _telling(options["quiet"]):
        made, facts, text = view(*arguments, **options)
    with suppress(KeyboardInterrupt):  # how a view ends, from the moment it is said to be there
        _last(options["json_"], facts, text)
        made.serve()


def main() -> None:
    """Entry point: our errors are one paragraph on standard error and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal has no letter for is no reason to end
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ContrascopeError as error:
        _complain(f"{type(error).__name__}: {error}")
    except OSError as error:  # no permission, no space: a matter of the machine, not of the program
        _complain(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}. {_advice(error)}".strip())


def _advice(error: OSError) -> str:
    """What to do about what the machine refused; nothing where we do not know."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Check its permissions."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room, or write elsewhere; what is finished is kept."
    return ""


def _complain(text: str) -> None:
    console = Console(stderr=True, soft_wrap=True, emoji=False)
    console.print(" ".join(text.split()), markup=False, highlight=False)
    sys.exit(1)


def _simulated(out: Path, preset: str, seed: int, say: Any) -> Path:
    """A synthetic screen in ``out``, made unless this very one is there."""
    from contrascope import progress
    from contrascope.screen.synthetic import synthetic_screen

    if _is_simulated(out, preset, seed):
        say("screen: done before")
        return out / "screen.yaml"
    return synthetic_screen(
        out, preset=preset, seed=seed, progress=lambda done, total: progress.report("Simulating tiles", done, total)
    )


def _is_simulated(out: Path, preset: str, seed: int) -> bool:
    if not ((out / "screen.yaml").is_file() and (out / "truth.json").is_file()):
        return False
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    return (truth.get("preset"), truth.get("seed")) == (preset, seed)


@contextmanager
def _telling(quiet: bool) -> Iterator[Any]:
    """Progress bars and what stages say, on standard error."""
    from contrascope import progress

    console = Console(stderr=True, soft_wrap=True, emoji=False)
    if quiet:
        yield lambda text: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def listener(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total, visible=done < total)

        with progress.listening(listener):
            try:
                yield lambda text: console.print(text, markup=False, highlight=False)
            except KeyboardInterrupt:
                console.print("Stopped. What is finished is kept; the same command resumes from there.")
                raise


def _last(as_json: bool, facts: dict[str, Any], text: str) -> None:
    """The last line, on standard output."""
    print(json.dumps(facts, default=str) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
