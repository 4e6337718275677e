"""A stage is made anew where what it is made from is changed, and nowhere else; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrascope.config import training_settings
from contrascope.errors import RunError
from contrascope.line import judging
from contrascope.line.finished import Finished
from contrascope.line.made_from import MadeFrom
from contrascope.line.stages import Stages
from contrascope.screen.screen import open_screen
from contrascope.store.store import CropStore

RIVAL = {"features": {"features": "fast"}}


@pytest.fixture
def out(tiny_store: CropStore, tmp_path: Path) -> Path:
    """A folder with the crops of the tiny screen, and a run of its settings that says it is finished."""
    (tmp_path / "cells.zarr").symlink_to(tiny_store.path)
    run = tmp_path / "runs" / "mcvae"
    run.mkdir(parents=True)
    said = ("channels", "crop_size", "perturbations", "store", "versions", "transform", "technical", "outcome")
    facts = dict.fromkeys(said) | {"format": 1, "model": "mcvae", "fingerprint": "trained"}
    facts |= {"settings": training_settings(len(tiny_store)).model_dump(mode="json")}
    (run / "run.json").write_text(json.dumps(facts))
    return tmp_path


def stages(out: Path) -> Stages:
    (out / "stages.json").write_text(json.dumps({"inputs": "x"}))
    found = Stages(out, inputs="x", name="tiny")
    for stage in ("store", "profiles", "features"):
        found.set(stage, stage)
    return found


def made_from(screen: Path, out: Path, **changes: object) -> MadeFrom:
    opened = open_screen(screen, changes)
    return MadeFrom(opened, Finished(opened.settings, out), stages(out))


def prints(of: MadeFrom) -> dict[str, object]:
    """What each stage is known by."""
    trained, used = of.run(None)
    answers = {name: of.answer(name, options) for name, options in judging.questions(of.made.settings).items()}
    return {
        "store": of.store, "training": trained, "run": used, "cells": of.cells, "features": of.features,
        "figures": of.figures, **answers,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({}, set()),
        ({"crop.size": 32}, {"store"}),
        ({"training.epochs": 77}, {"training", "run"}),
        ({"training.views": 1}, {"run"}),
        ({"embedding.uncertainty": True}, {"cells"}),
        ({"map_cells": 123}, {"figures"}),
        ({"benchmarks.artifacts": {"max_cells": 99}}, {"artifacts"}),
        ({"name": "another name"}, set()),
    ],
)
def test_a_change_of_a_setting_changes_what_depends_on_it(
    changes: dict[str, object], anew: set[str], tiny_screen: Path, out: Path
) -> None:
    before, after = prints(made_from(tiny_screen, out)), prints(made_from(tiny_screen, out, **changes))
    assert {name for name in before if before[name] != after[name]} == anew


def test_with_a_rival_every_answer_is_another_and_no_other_stage_is(tiny_screen: Path, out: Path) -> None:
    before, after = prints(made_from(tiny_screen, out)), prints(made_from(tiny_screen, out, **RIVAL))
    same = {name for name in before if before[name] == after[name]}
    assert same == {"store", "training", "run", "cells", "figures"}


def test_profiles_that_were_made_anew_have_answers_and_figures_made_anew(tiny_screen: Path, out: Path) -> None:
    of = made_from(tiny_screen, out)
    before = prints(of)
    of.stages.set("profiles", "others")
    assert {name for name, found in prints(of).items() if found == before[name]} == {
        "store", "training", "run", "cells", "features",
    }  # fmt: skip


def test_a_report_is_of_what_is_done_or_refused_by_the_first_stage_that_is_not(tiny_screen: Path, out: Path) -> None:
    of = made_from(tiny_screen, out)
    done = {"store": of.store, "run mcvae": of.run(None)[1], "cells": of.cells}
    for stage, print_ in done.items():
        with pytest.raises(RunError, match=f"the stage '{stage}' would be done again"):
            of.refuse_changed()
        of.stages.set(stage, print_)
    for name, options in judging.questions(of.made.settings).items():
        with pytest.raises(RunError, match=f"the stage 'benchmark {name}' would be done again"):
            of.refuse_changed()
        of.stages.set(f"benchmark {name}", of.answer(name, options))
    of.stages.set("figures", of.figures)
    of.refuse_changed()
    other = made_from(tiny_screen, out, **{"training.epochs": 77})
    other.stages.set("store", other.store)
    with pytest.raises(RunError, match=r"made with other settings: the stage 'run mcvae'.*contrascope report"):
        other.refuse_changed()
