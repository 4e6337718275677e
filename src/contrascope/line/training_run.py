"""The run of a screen: what its training starts from, and what is kept in its place until it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contrascope.addresses import local_path
from contrascope.config import training_settings
from contrascope.errors import ContrascopeError, RunError
from contrascope.line.finished import Finished
from contrascope.store.files import read_json
from contrascope.training.files import FACTS, UNFINISHED
from contrascope.training.inherit import refuse_misfit
from contrascope.training.run import Run, open_run


def parent_run(made: Finished) -> Run | None:
    """The run that a screen's training is to start from.

    Raises:
        SettingsError: It is a URL.
        RunError: There is none, it is of another model or other images than the screen's, or it lies where the
            screen's own run will.
    """
    settings, own = made.settings, made.run_path.resolve()
    if settings.start_from is None:
        return None
    start = local_path(settings.start_from)
    if own in (start.resolve(), *start.resolve().parents):
        raise RunError(
            f"start_from is {start}, where the run that starts from it would be. Choose another --out, or move that "
            f"run elsewhere; nothing was changed."
        )
    if not (start / FACTS).is_file() and "start_from" in _facts_of(own):
        raise RunError(
            f"{own} was trained from a run, and start_from, {start}, is none any more. Put it back, or say where it is "
            f"now; `contrascope report` needs no more than {own}. Without start_from it would be trained anew."
        )
    parent, size = open_run(start), settings.crop.size
    # Which weights a model has does not depend on the number of cells, which are not cut out yet.
    refuse_misfit(parent, settings.model, training_settings(10_000, **settings.training))
    for what, theirs, ours in (
        ("channels", parent.facts["channels"], settings.images.channel_names),
        ("crops of", parent.facts["crop_size"], [size, size]),
    ):
        if theirs != ours:
            raise RunError(
                f"A training on {what} {ours} cannot start from the run {parent.path}, which was trained on {theirs}. "
                f"Set images.channels and crop.size to what they were there, or leave start_from out."
            )
    _ = parent.model  # weights that are damaged are found now
    return parent


@contextmanager
def room_for(run: Path, made_from: str) -> Iterator[None]:
    """Inside, the folder of a run is free for the run that is wanted, or holds what its training can go on from.

    A finished run of other inputs lies beside it until the one that takes its place is finished too. It comes back
    where that one is refused before anything is written, or where it is wanted again.
    """
    before = run.with_name(f"{run.name}.before")
    if _is_of_other_inputs(run, made_from):
        _put_aside(run, before)
    if before.is_dir() and not run.exists() and not _is_of_other_inputs(before, made_from):
        before.rename(run)
    try:
        yield
    except ContrascopeError:
        if before.is_dir() and not run.exists():
            before.rename(run)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _facts_of(run: Path) -> dict[str, Any]:
    """What a finished run says of itself; nothing where there is none."""
    try:
        return open_run(run).facts
    except ContrascopeError:
        return {}


def _put_aside(run: Path, before: Path) -> None:
    """A finished run is put aside until the one that takes its place is finished too; any other is deleted."""
    if (run / FACTS).is_file():
        shutil.rmtree(before, ignore_errors=True)
        run.rename(before)
    else:
        shutil.rmtree(run)


def _is_of_other_inputs(run: Path, made_from: str) -> bool:
    """Whether a folder holds a run, finished or not, that is not the one wanted, or one that cannot be read."""
    try:
        if (run / UNFINISHED).is_file():
            return read_json(run / UNFINISHED) != {"fingerprint": made_from}
        if not (run / FACTS).is_file():
            return False
        return open_run(run).fingerprint != made_from
    except ContrascopeError:
        return True
