"""What a model has learned by heart is not in cells that it was not trained on, and what is there is in all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import kstest

from contrascope.benchmarks import benchmark
from contrascope.benchmarks.comparisons import Comparison, cast_of
from contrascope.benchmarks.held_out import _shift, held_out_cells, held_out_effects, trained_on_note
from contrascope.benchmarks.ruler import Ruler

FEATURES, BATCHES = 6, 3


def screen(
    *, acts: float = 0.0, by_heart: float = 0.0, perturbations: int = 8, cells: int = 120, seed: int = 0
) -> AnnData:
    """Cells of which a half is held out, in batches that differ; perturbations shift all of them, or the others."""
    random = np.random.default_rng(seed)
    label = np.repeat(["nt", *(f"G{k}" for k in range(perturbations))], [600, *[cells] * perturbations])
    number = np.maximum(0, pd.factorize(label)[0])
    batch, part = random.integers(0, BATCHES, len(label)), np.where(random.random(len(label)) < 0.5, "train", "test")
    real, learned = (random.normal(size=(perturbations + 1, FEATURES)) for _ in range(2))
    real[0] = learned[0] = 0.0
    unit = [vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9) for vectors in (real, learned)]
    values = random.normal(size=(len(label), FEATURES)) + 2.0 * random.normal(size=(BATCHES, FEATURES))[batch]
    values += acts * unit[0][number] + by_heart * unit[1][number] * (part == "train")[:, None]
    obs = pd.DataFrame({"guide": label, "perturbation": label, "control": label == "nt", "split": part})
    obs["batch"] = [f"b{b}" for b in batch]
    return AnnData(obs=obs.set_index(pd.Index([f"c{i}" for i in range(len(label))])), obsm={"salient": values})


def asked(cells: AnnData, **changes: int) -> pd.DataFrame:
    cast, _ = cast_of(cells.obs, within="batch", seed=0)
    held = held_out_cells(cells.obs)
    assert held is not None
    values = np.asarray(cells.obsm["salient"])
    ruler = Ruler.of(values[cells.obs["control"]])
    return held_out_effects(cast, held, values, ruler, **({"max_cells": 200, "permutations": 199} | changes))


def test_an_effect_that_all_cells_have_is_seen_as_a_whole() -> None:
    found = asked(screen(acts=2.5, perturbations=12))
    assert (found["p_held_out"] == 1 / 200).all()
    assert found["held_out"].mean() == pytest.approx(1.0, abs=0.1)


def test_noise_in_the_direction_takes_nothing_off_a_weak_effect() -> None:
    """Its square is a third noise here, which would make three quarters of a whole effect."""
    found = pd.concat([asked(screen(acts=0.75, perturbations=30, cells=60, seed=seed)) for seed in range(4)])
    assert found["held_out"].median() == pytest.approx(1.0, abs=0.15)


def test_an_effect_that_was_learned_by_heart_is_not_seen() -> None:
    found = asked(screen(by_heart=2.5, perturbations=12))
    assert (found["p_held_out"] <= 0.05).sum() <= 2
    assert found["held_out"].mean() == pytest.approx(0.0, abs=0.15)


def test_of_an_effect_that_is_half_learned_by_heart_the_other_half_is_seen() -> None:
    found = asked(screen(acts=2.0, by_heart=2.0, perturbations=12))
    assert found["held_out"].mean() == pytest.approx(0.5, abs=0.12)  # the two are at right angles on average


def test_p_is_uniform_where_the_model_learned_all_and_nothing_acts() -> None:
    found = pd.concat([asked(screen(by_heart=2.0, perturbations=30, cells=40, seed=seed)) for seed in range(4)])
    assert len(found) == 120
    assert kstest(found["p_held_out"], "uniform").pvalue > 0.01


def test_the_shift_is_that_of_a_loop_over_batches_and_its_noise_what_it_varies_by() -> None:
    random = np.random.default_rng(0)
    batch = np.repeat([4, 4, 9, 9], [10, 20, 8, 30])
    perturbed = np.repeat([True, False, True, False], [10, 20, 8, 30])
    comparison = Comparison(np.arange(68), perturbed, batch)
    features = random.normal(size=(68, 2)) + batch[:, None]
    expected = sum(
        n * (features[(batch == b) & perturbed].mean(0) - features[(batch == b) & ~perturbed].mean(0)) / 18
        for b, n in ((4, 10), (9, 8))
    )
    np.testing.assert_allclose(_shift(features, comparison)[0], expected)
    drawn = [_shift(random.normal(size=(68, 2)), comparison) for _ in range(3_000)]
    squared = np.mean([shift @ shift for shift, _ in drawn])
    assert np.mean([noise for _, noise in drawn]) == pytest.approx(squared, rel=0.05)


@pytest.mark.parametrize("parts", [None, ["train"], ["test", "validation"], ["train", "test", "left"]])
def test_where_nobody_says_what_was_trained_on_nothing_is_asked(parts: list[str] | None) -> None:
    obs = pd.DataFrame({"guide": list("abcdef")})
    assert held_out_cells(obs if parts is None else obs.assign(split=[parts[i % len(parts)] for i in range(6)])) is None


def test_hits_say_it_of_each_perturbation_and_are_otherwise_as_they_were() -> None:
    cells = screen(acts=1.5, perturbations=3)
    asked_so = {"permutations": 99, "spaces": ["salient"]}
    told = benchmark(cells, "hits", **asked_so)
    untold = benchmark(AnnData(obs=cells.obs.drop(columns="split"), obsm=dict(cells.obsm)), "hits", **asked_so)
    perturbed = told.table[told.table["metric"] == "energy distance"]
    assert (perturbed["q_held_out"] <= 0.05).all()
    assert (perturbed["n_held_out"] > 40).all()
    assert "share with p <= 0.05, held-out cells" in told.headline["metric"].tolist()
    columns = [name for name in told.table if "held_out" not in name]
    pd.testing.assert_frame_equal(told.table[columns], untold.table[columns])
    assert untold.table["p_held_out"].isna().all()
    assert not untold.headline["metric"].str.contains("held-out").any()


def test_few_cells_are_left_out_and_the_order_of_rows_changes_nothing() -> None:
    cells = screen(acts=1.0, perturbations=4, cells=60)
    few = cells.obs["perturbation"].eq("G0") & cells.obs["split"].eq("test")
    fewer = cells[~few | (few.cumsum() <= 4)].copy()
    found = asked(fewer)
    assert found.index.tolist() == ["G1", "G2", "G3"]
    turned = fewer[np.random.default_rng(1).permutation(fewer.n_obs)].copy()
    pd.testing.assert_frame_equal(asked(turned), found)


def test_numbers_of_controls_say_how_many_of_them_the_model_was_trained_on() -> None:
    cells = screen()
    cells.obs["stage"] = np.where(np.arange(cells.n_obs) % 3, "interphase", "mitotic")
    cells.obs["field_distance"] = 0.5
    controls, trained_on = cells.obs["control"], cells.obs["split"] == "train"
    told = f"trained on {int((controls & trained_on).sum())} of these {int(controls.sum())} controls"
    asked_of = {"stages": {}, "artifacts": {"among": "controls"}}
    for name, options in asked_of.items():
        assert any(told in note for note in benchmark(cells, name, **options).notes), name
    everyone = benchmark(cells, "artifacts").notes
    del cells.obs["split"]
    unknown = [note for name, options in asked_of.items() for note in benchmark(cells, name, **options).notes]
    assert not any("trained on" in note for note in [*everyone, *unknown])


def test_of_controls_that_were_all_held_out_nothing_is_said() -> None:
    cells = screen()
    held_out = np.flatnonzero(cells.obs["control"] & (cells.obs["split"] == "test"))
    assert trained_on_note(cells, held_out) == []


def test_of_embeddings_without_a_salient_space_nothing_is_said() -> None:
    cells = screen()
    controls = np.flatnonzero(cells.obs["control"])
    assert trained_on_note(cells, controls) != []
    assert trained_on_note(AnnData(obs=cells.obs, obsm={"features": cells.obsm["salient"]}), controls) == []
