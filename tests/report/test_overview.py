"""The sentences at the top are a function of the results, and weak results are called weak."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks.held_out import trained_on_note
from contrascope.report.overview import Sentences, overview
from contrascope.report.perturbations import perturbation_frame


def headline(metric: str, **values: float) -> list[dict]:
    return [
        {"space": space, "metric": metric, "value": value, "chance": 0.5, "n": 9} for space, value in values.items()
    ]


def test_hits_and_what_kind_they_are(gathered, results) -> None:
    first, second = overview(results, perturbation_frame(gathered, results))
    assert "2 of 6 perturbations do something" in first and "q ≤ .05 by permuted cells and by permuted guides" in first
    assert "0 in both spaces, 2 in the salient space alone, 0 in the background alone" in first
    assert "Of these 2, 1 is novel" in second and "0 shift cells" in second and "1 in between" in second


def test_a_share_without_a_hit_where_it_lies_is_not_called_between_without_a_word(gathered, results) -> None:
    frame = perturbation_frame(gathered, results)
    frame["novelty"], frame["novelty_low"], frame["novelty_high"] = 0.5, 0.3, 0.7
    assert "2 in between. Half" in overview(results, frame)[1]
    frame["novelty"], frame["novelty_low"], frame["novelty_high"] = 0.05, 0.02, 0.12
    said = overview(results, frame)[1]
    assert "2 in between, among them 2 that would be one of the two by the share, but not by a hit" in said


def test_a_model_of_one_space_is_told_of_as_such(gathered, results, make_result) -> None:
    rows = results["hits"].table
    alone = make_result("hits", rows[rows["space"] == "salient"].assign(space="background").to_dict("records"))
    frame = perturbation_frame(
        dataclasses.replace(gathered, facts=gathered.facts | {"space": "background"}), {"hits": alone}
    )
    first = overview({"hits": alone}, frame)[0]
    assert "2 of 6 perturbations do something" in first and "both spaces" not in first and "salient" not in first


def test_without_hits_nothing_is_said_of_novelty(gathered, results) -> None:
    results["hits"].table["q_cells"] = 0.9
    (only,) = overview(results, perturbation_frame(gathered, results))
    assert only.startswith("None of 6 perturbations can be told from controls")


def test_what_was_not_asked_is_told_with_its_reason(gathered) -> None:
    (only,) = overview({}, perturbation_frame(gathered, {}), unanswered={"hits": "Too few controls."})
    assert only == "Which perturbations do anything was not asked. Too few controls."


def test_small_p_of_control_guides_are_told_where_p_is_of_cells(gathered, results, make_result) -> None:
    novelty = results["novelty"]
    said = make_result("novelty", novelty.table, headline("control guides at p 0.05", salient=0.38))
    texts = overview({"novelty": said}, perturbation_frame(gathered, {"novelty": said}))
    assert any("Of control guides, 38 % in the salient space have p ≤ .05 too" in text for text in texts)
    calm = make_result("novelty", novelty.table, headline("control guides at p 0.05", salient=0.06))
    assert not any("control guides" in text for text in overview({"novelty": calm}, perturbation_frame(gathered, {})))


@pytest.mark.parametrize(
    ("auroc", "words"),
    [
        (0.599, "can be read in part from the salient space: AUROC .60 (.60 to .75)"),
        (0.55, "can hardly be read from the salient space: AUROC .55 (below .60)"),
        (0.65, "can be read in part from the salient space: AUROC .65 (.60 to .75)"),
        (0.9, "can be read well from the salient space: AUROC .90 (.75 or more)"),
    ],
)
def test_batch_is_read_hardly_in_part_or_well(gathered, make_result, auroc, words) -> None:
    artifacts = make_result("artifacts", [], headline("batch AUROC", salient=auroc, background=0.99))
    text = overview({"artifacts": artifacts}, perturbation_frame(gathered, {}))[-1]
    assert words in text and "background .99" in text


def test_batch_among_controls_is_said_to_be_of_cells_that_the_model_was_trained_on(gathered, make_result) -> None:
    obs = pd.DataFrame({"split": ["train"] * 9 + ["test"]}, index=[f"c{i}" for i in range(10)])
    note = trained_on_note(AnnData(obs=obs, obsm={"salient": np.zeros((10, 1))}), np.arange(10))
    for auroc, advice in (
        (0.55, "hardly differ because of their batches"),
        (0.9, "Compare perturbations within batches"),
    ):
        artifacts = make_result("artifacts", [], headline("batch AUROC", salient=auroc))
        told = dataclasses.replace(artifacts, notes=("Something else.", *note))
        text = overview({"artifacts": told}, perturbation_frame(gathered, {}))[-1]
        assert "Controls alone were asked. The model was trained on 9 of these 10 controls" in text
        assert (advice in text) == (auroc == 0.9)


@pytest.mark.parametrize(
    ("baseline", "low", "words"),
    [
        (0.5, 0.7, "Genes of one complex look alike, more than baselines see"),
        (0.75, 0.7, "not beyond doubt"),
        (0.9, 0.7, "found no better"),
    ],
)
def test_complexes_are_told_beside_the_best_baseline(gathered, make_result, baseline, low, words) -> None:
    rows = [{"space": "salient", "metric": "average precision", "value": 0.8, "low": low, "high": 0.95}]
    lines = headline("average precision", salient=0.8, background=0.3, untrained=baseline, intensity=0.2)
    text = overview({"complexes": make_result("complexes", rows, lines)}, perturbation_frame(gathered, {}))[-1]
    assert words in text and "the same network untrained" in text


def test_a_dose_that_is_followed(gathered, make_result) -> None:
    dose = make_result("dose", [], headline("Spearman", salient=0.91, background=0.8, intensity=0.61))
    text = overview({"dose": dose}, perturbation_frame(gathered, {}))[-1]
    assert text.startswith("Cells follow the dose: Spearman .91") and "plain intensities .61" in text


def test_sentences_are_escaped() -> None:
    assert Sentences(("a < b",)).html() == '<ul class="said"><li>a &lt; b</li></ul>'


def test_hits_that_no_permutation_speaks_for_are_named(gathered, results) -> None:
    frame = perturbation_frame(gathered, results)
    name = frame.index[frame["hit"].eq(True)][0]
    assert "by the size of the effect alone" not in overview(results, frame)[0]
    frame.loc[name, "q_cells"] = float("nan")
    assert f" {name}: by the size of the effect alone" in overview(results, frame)[0]


def test_hits_that_held_out_cells_do_not_show_are_named(gathered, results) -> None:
    frame = perturbation_frame(gathered, results)
    hits = frame.index[frame["hit"].eq(True)]
    told = frame.assign(p_held_out=0.001, n_held_out=40.0, held_out=0.9)
    seen = overview(results, told)[1]
    assert seen.startswith(
        f"All {len(hits)} hits in the salient space are seen in cells that the model was not trained"
    )
    assert "(p ≤ .05, 40 cells each" in seen and "by heart" not in seen
    told.loc[hits[0], ["p_held_out", "held_out"]] = 0.3, 0.4
    missed = overview(results, told)[1]
    assert missed.startswith(f"Of {len(hits)} hits in the salient space, {len(hits) - 1} are seen in cells")
    assert f"; not {hits[0]}. Of all {len(hits)}, held-out cells show" in missed
    assert f"least 40 % of {hits[0]})" in missed
    assert missed.endswith("or the model has learned cells by heart.")
    assert "not trained on" not in " ".join(overview(results, frame))
