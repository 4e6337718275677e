"""Sections say what their stage came to, leave out what was not asked, and pick the right numbers for the top."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from contrascope.benchmarks.result import Result
from contrascope.registry import BENCHMARKS
from contrascope.report import sections
from contrascope.report.gathered import Gathered
from contrascope.report.perturbations import perturbation_frame
from contrascope.report.report import Picture, Table, Text
from contrascope.store.description import Account

Make = Callable[..., Result]
ACCOUNT = Account(rows=1234, stored=1000, dropped={"at the edge": 234})


def texts(section: sections.Section) -> list[str]:
    return [block.text for block in section.blocks if isinstance(block, Text)]


def rows(metric: str, chance: float = 0.5, **values: float) -> list[dict[str, Any]]:
    return [
        {"space": space, "metric": metric, "value": value, "chance": chance, "n": 9} for space, value in values.items()
    ]


def test_at_the_top_stand_the_cells_and_the_perturbations_that_do_something(
    gathered: Gathered, results: dict[str, Result]
) -> None:
    facts = sections.headline_facts(ACCOUNT, perturbation_frame(gathered, results), results)
    assert [(fact.value, fact.label) for fact in facts] == [
        ("1,000", "cells stored of 1,234 in the table"),
        ("6", "perturbations compared with controls"),
        ("2", "of 5 perturbations do something to the cells (hits)"),
    ]


def test_without_hits_nothing_is_said_of_them(gathered: Gathered) -> None:
    assert len(sections.headline_facts(ACCOUNT, perturbation_frame(gathered, {}), {})) == 2


def test_the_best_learned_space_stands_beside_the_best_of_the_others(gathered: Gathered, make_result: Make) -> None:
    headline = rows("average precision", 0.12, background=0.3, salient=0.41, combined=0.4, untrained=0.9, intensity=0.2)
    complexes = make_result("complexes", [], headline + rows("another metric", salient=0.99))
    fact = sections.headline_facts(ACCOUNT, perturbation_frame(gathered, {}), {"complexes": complexes})[-1]
    assert fact.value == "0.41"
    assert fact.label == "average precision of complexes from salient; chance 0.12, untrained 0.90"
    alone = make_result("complexes", [], rows("average precision", background=0.3))
    fact = sections.headline_facts(ACCOUNT, perturbation_frame(gathered, {}), {"complexes": alone})[-1]
    assert fact.label == "average precision of complexes from background; chance 0.50"


def test_batch_and_dose_are_told_of_the_spaces_there_are(gathered: Gathered, make_result: Make) -> None:
    found = {
        "artifacts": make_result("artifacts", [], rows("batch AUROC", background=0.97, salient=0.55, untrained=0.8)),
        "dose": make_result("dose", [], rows("Spearman", 0.0, background=0.7)),
    }
    facts = sections.headline_facts(ACCOUNT, perturbation_frame(gathered, {}), found)[2:]
    assert [(fact.value, fact.label) for fact in facts] == [
        ("0.97", "AUROC of batch from background; chance 0.50"),
        ("0.55", "AUROC of batch from salient; chance 0.50"),
    ]


def test_every_benchmark_has_a_question_and_a_meaning(make_result: Make, tmp_path: Path) -> None:
    for name in BENCHMARKS:
        section = sections.benchmark_section(make_result(name, [], rows("score", salient=0.5)), tmp_path)
        assert section.title.endswith("?"), name
        assert texts(section)


def test_a_benchmark_from_outside_is_shown_under_its_name_with_its_notes(make_result: Make, tmp_path: Path) -> None:
    made = make_result("outside", [], rows("score", 0.2, salient=0.5, background=0.4))
    result = Result(made.name, made.table, made.headline, ("One cell was left out.",))
    section = sections.benchmark_section(result, tmp_path)
    assert section.title == "outside"
    assert texts(section) == ["One cell was left out."]
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert table.frame.to_dict("records") == [{"metric": "score", "salient": 0.5, "background": 0.4, "chance": "0.200"}]
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    (picture,) = (b for b in sections.benchmark_section(result, tmp_path).blocks if isinstance(b, Picture))
    assert picture.path == tmp_path / "outside.png"


def test_what_was_not_asked_is_listed_with_its_reason_or_has_no_section() -> None:
    assert sections.unanswered_section({}) == []
    (section,) = sections.unanswered_section({"dose": "There is one dose.", "hits": "No controls."})
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert table.frame["why it was left out"].tolist() == ["There is one dose.", "No controls."]


def test_a_model_without_salient_space_shows_no_counterfactuals(tmp_path: Path) -> None:
    def shown() -> list[str]:
        return [block.path.name for block in sections.cells_section(tmp_path).blocks if isinstance(block, Picture)]

    assert shown() == ["cells.png", "reconstructions.png"]
    (tmp_path / "counterfactuals.png").touch()
    assert shown() == ["cells.png", "reconstructions.png", "counterfactuals.png"]


@pytest.mark.parametrize(("early", "words"), [(True, "stopped early"), (False, "ran to its end")])
def test_a_training_is_told_with_its_end_and_the_step_that_was_kept(early: bool, words: str, tmp_path: Path) -> None:
    outcome = {"stopped_early": early, "steps": 12345, "cells_per_second": 6789.4}
    outcome |= {"best_step": 11000, "best_validation_loss": 1234.56}
    (said,) = texts(sections.training_section(outcome, tmp_path))
    assert words in said
    assert "12,345 steps, 6,789 cells a second" in said
    assert "step 11,000" in said and "1,234.6 nats" in said
    assert "tells cells apart" not in said, "nothing was logged of that"


def test_a_rival_is_explained_where_there_is_one() -> None:
    plain, rival = sections.spaces_section(), sections.spaces_section(["cellprofiler: 9 of 10 rows are matched."])
    assert not any("CellProfiler" in text for text in texts(plain))
    assert set(texts(rival)) - set(texts(plain)) > {"cellprofiler: 9 of 10 rows are matched."}


def test_settings_and_provenance_can_be_read_by_a_program() -> None:
    settings, provenance = {"name": "größe", "crop": {"size": 64}}, {"store": "abc", "packages": {"torch": "2.13.0"}}
    section = sections.provenance_section(settings, provenance)
    assert [yaml.safe_load(text) for text in texts(section)] == [settings, provenance]


def test_every_row_is_accounted_for() -> None:
    section = sections.went_in(str(ACCOUNT), pd.DataFrame({"cells": [1000, 234]}), pd.DataFrame({"cells": [5]}))
    assert "1,234 cells in the table = 1,000 stored, 234 dropped: at the edge" in texts(section)[0]
    assert [len(block.frame) for block in section.blocks if isinstance(block, Table)] == [2, 1]


@pytest.mark.parametrize(("share", "empty"), [(0.1, False), (0.0005, True)])
def test_a_salient_space_that_tells_no_cells_apart_is_said_to_be_empty(
    tmp_path: Path, share: float, empty: bool
) -> None:
    outcome = {"stopped_early": False, "steps": 9, "cells_per_second": 1.0, "best_step": 9, "best_validation_loss": 1.0}
    (text, _) = sections.training_section(outcome, tmp_path, in_means=share).blocks
    assert f"{100 * share:.2g} % tells cells apart" in str(text)
    assert ("practically empty" in str(text)) == empty
