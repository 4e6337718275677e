"""Mean average precision of replicates, against copairs called directly and a loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copairs.map import average_precision, mean_average_precision
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from contrascope.benchmarks import retrieval
from contrascope.benchmarks.comparisons import cast_of
from contrascope.benchmarks.retrieval import mean_average_precisions, random_rankings, reach, replicates_of


def profiles(shift: float, k: int = 4, controls: int = 12, seed: int = 0) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(seed)
    own, others = random.normal(size=(k, 10)), random.normal(size=(controls, 10))
    own[:, 0] += shift
    return own, others


def test_it_is_what_copairs_says_of_the_same_profiles(tmp_path: Path) -> None:
    own, controls = profiles(2.0)
    found = mean_average_precisions({"A": own}, controls, null_size=500, seed=3).loc["A"]
    both = np.concatenate([own, controls])
    meta = pd.DataFrame({"label": ["A"] * 4 + [f"c{i}" for i in range(12)], "control": [False] * 4 + [True] * 12})
    rules = {"pos_sameby": ["label"], "pos_diffby": [], "neg_sameby": [], "neg_diffby": ["control"]}
    scores = average_precision(meta, both - both.mean(axis=0), **rules, progress_bar=False)
    options = {"null_size": 500, "threshold": 0.05, "seed": 3, "progress_bar": False, "cache_dir": tmp_path}
    expected = mean_average_precision(scores, ["label"], **options).set_index("label").loc["A"]
    assert found["map"] == pytest.approx(expected["mean_average_precision"])
    # With ties counted a p-value can only be larger.
    assert found["p_map"] >= expected["p_value"]


def test_it_is_the_mean_of_scikit_learns_average_precision_by_cosine() -> None:
    own, controls = profiles(1.0)
    both = np.concatenate([own, controls])
    both -= both.mean(axis=0)
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    asked = []
    for i in range(4):
        others = [j for j in range(16) if j != i]
        asked.append(average_precision_score([j < 4 for j in others], (unit @ unit[i])[others]))
    found = mean_average_precisions({"A": own}, controls, null_size=50, seed=0)
    assert found.loc["A", "map"] == pytest.approx(np.mean(asked), abs=1e-6)


def test_chance_is_the_mean_over_all_rankings() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(15) < 3
    expected = np.mean([average_precision_score(random.permutation(truth), np.arange(15)) for _ in range(800)])
    assert random_rankings(4, 12, 4000, 0).mean() == pytest.approx(expected, abs=0.02)


def test_with_two_replicates_and_two_controls_the_best_ranking_is_common_and_p_says_so() -> None:
    own, controls = profiles(50.0, k=2, controls=2)
    found = mean_average_precisions({"A": own}, controls, null_size=3000, seed=0).loc["A"]
    assert found["map"] == 1.0
    assert found["p_map"] == pytest.approx(1 / 3, abs=0.05)


def test_chance_reaches_no_further_than_rankings_that_tie_allow() -> None:
    assert reach(np.arange(199.0)) == pytest.approx(0.05)
    assert reach(np.repeat([1.0, 0.5], [4, 95])) == pytest.approx(0.05)
    assert reach(np.repeat([1.0, 0.5], [3, 96])) == pytest.approx(0.04)
    assert reach(np.repeat([1.0, 0.5], [50, 50])) == 0


def test_replicates_that_do_nothing_are_seldom_hits() -> None:
    nothing = {f"P{i:03d}": profiles(0.0, seed=i + 1)[0] for i in range(200)}
    found = mean_average_precisions(nothing, profiles(0.0)[1], null_size=999, seed=0)
    assert (found["p_map"] < 0.05).mean() <= 0.06
    assert found["map"].mean() == pytest.approx(found["map_chance"].mean(), abs=0.06)


def test_replicates_without_a_direction_have_no_precision() -> None:
    same = np.ones((3, 4))
    assert mean_average_precisions({"A": same}, same, null_size=19, seed=0).empty


def test_what_is_asked_together_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {name: profiles(1.0, k=k, seed=k)[0] for name, k in (("A", 4), ("B", 3), ("C", 5), ("D", 1))}
    controls = profiles(0.0)[1]
    together = mean_average_precisions(own, controls, null_size=99, seed=0)
    monkeypatch.setattr(retrieval, "ROWS_A_CALL", 1)
    pd.testing.assert_frame_equal(mean_average_precisions(own, controls, null_size=99, seed=0), together)
    alone = mean_average_precisions({"B": own["B"]}, controls, null_size=99, seed=0)
    pd.testing.assert_frame_equal(alone, together.loc[["B"]])
    assert list(together.index) == ["A", "B", "C"]


def test_wells_of_one_name_on_two_plates_are_two_replicates() -> None:
    obs = pd.DataFrame(
        {
            "perturbation": ["A", "A", "A", "c1", "c2", "c1"],
            "guide": ["a1", "a2", "a1", "x", "y", "x"],
            "control": [False] * 3 + [True] * 3,
            "plate": ["1", "1", "2", "1", "1", "2"],
            "well": ["A01"] * 6,
        },
        index=list("fedcba"),
    )
    cast, _ = cast_of(obs, within="batch", seed=0)
    values = np.arange(6.0)[:, None]
    wells = replicates_of(obs, cast, "well")
    assert sorted(zip(wells.perturbation, wells.means(values)[:, 0], strict=True)) == [
        (-1, 3.5),
        (-1, 5),
        (0, 0.5),
        (0, 2),
    ]
    guides = replicates_of(obs, cast, "guide")
    assert sorted(zip(guides.perturbation, guides.means(values)[:, 0], strict=True)) == [
        (-1, 4),
        (-1, 4),
        (0, 1),
        (0, 1),
    ]


def test_rankings_are_drawn_once_for_each_number_of_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(replicates: int, controls: int, null_size: int, seed: int) -> NDArray:
        drawn.append(replicates)
        return random_rankings(replicates, controls, null_size, seed)

    monkeypatch.setattr(retrieval, "random_rankings", counted)
    own = {f"G{i}": profiles(1.0, k=2 + i % 2, seed=i)[0] for i in range(6)}
    assert len(mean_average_precisions(own, profiles(0.0)[1], null_size=20, seed=0)) == 6
    assert sorted(drawn) == [2, 3]
