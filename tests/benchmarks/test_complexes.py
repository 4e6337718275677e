"""Complexes, against a loop over pairs, scikit-learn, and planted truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.stats import special_ortho_group
from sklearn.metrics import average_precision_score

from contrascope.benchmarks.annotations import Annotations, pairs_of
from contrascope.benchmarks.complexes import complexes, cosine_similarity
from contrascope.errors import BenchmarkError

SETS = {"one": frozenset(["G0", "G1", "G2"]), "two": frozenset(["G2", "G3"]), "three": frozenset(["G7", "G8", "Q"])}


def profiles(vectors: np.ndarray) -> AnnData:
    """One gene a row, then a control."""
    names = [*(f"G{i}" for i in range(len(vectors))), "nontargeting"]
    obs = pd.DataFrame({"perturbation": names, "control": [False] * len(vectors) + [True]}, index=names)
    return AnnData(obs=obs, obsm={"salient": np.vstack([vectors, np.zeros(vectors.shape[1])])})


def planted(noise: float, *, complexes_: int = 8, size: int = 4, seed: int = 0) -> tuple[AnnData, dict]:
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(complexes_, 16)), size, axis=0)
    sets = {f"C{c}": frozenset(f"G{c * size + i}" for i in range(size)) for c in range(complexes_)}
    return profiles(centres + noise * random.normal(size=centres.shape)), sets


def values(table: pd.DataFrame, metric: str) -> np.ndarray:
    return table.loc[table["metric"] == metric, "value"].to_numpy()


def sweep_by_loops(vectors: np.ndarray, genes: list[str], sets: dict) -> list[tuple[float, float]]:
    """Precision and recall at p = 80 ... 99, pair by ordered pair."""
    distance = [
        [0.0 if i == j else round(cosine(a, b), 12) for j, b in enumerate(vectors)] for i, a in enumerate(vectors)
    ]
    answers = []
    for p in range(80, 100):
        low, high = np.percentile(distance, 100 - p), np.percentile(distance, p)
        hits = called = related = 0
        for i, a in enumerate(genes):
            for j, b in enumerate(genes):
                if i == j:
                    continue
                together = any(a in s and b in s for s in sets.values())
                positive = distance[i][j] <= low or distance[i][j] >= high
                related, called, hits = related + together, called + positive, hits + (together and positive)
        answers.append((hits / called, hits / related))
    return answers


@pytest.mark.parametrize("seed", range(3))
def test_the_sweep_equals_a_loop_over_ordered_pairs(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(10, 5))
    table = complexes(profiles(vectors), annotations=SETS).table
    kept = [0, 1, 2, 3, 7, 8]
    expected = sweep_by_loops(vectors[kept], [f"G{i}" for i in kept], SETS)
    np.testing.assert_allclose(values(table, "precision"), [p for p, _ in expected])
    np.testing.assert_allclose(values(table, "recall"), [r for _, r in expected])


def test_chance_recall_is_the_share_of_pairs_in_both_tails_and_chance_precision_the_prevalence() -> None:
    data, sets = planted(1.0)
    table = complexes(data, annotations=sets).table
    recall = table[table["metric"] == "recall"].set_index("percentile")["chance"]
    distance = 1 - cosine_similarity(data.obsm["salient"][~data.obs["control"].to_numpy()])
    np.fill_diagonal(distance, 0)
    pairs = distance[np.triu_indices(32, k=1)]
    for percentile in (99, 95, 90, 80):
        low, high = np.percentile(distance, [100 - percentile, percentile])
        called = np.mean((pairs <= low) | (pairs >= high))
        assert recall[percentile] == pytest.approx(called)
        assert called < 2 * (100 - percentile) / 100
    precision = table.loc[table["metric"] == "precision", "chance"]
    np.testing.assert_allclose(precision, 8 * 6 / (32 * 31 / 2))


def test_average_precision_of_pairs_and_of_a_complex_are_those_of_scikit_learn() -> None:
    data, sets = planted(1.5)
    table = complexes(data, annotations=sets).table
    similarity = cosine_similarity(data.obsm["salient"][:32])
    i, j = np.triu_indices(32, k=1)
    assert values(table, "average precision")[0] == pytest.approx(
        average_precision_score(i // 4 == j // 4, similarity[i, j])
    )
    row = table[table["complex"] == "C2"].iloc[0]
    touches = (i // 4 == 2) | (j // 4 == 2)
    within = (i // 4 == 2) & (j // 4 == 2)
    assert row["value"] == pytest.approx(average_precision_score(within[touches], similarity[i, j][touches]))
    assert row["n"] == touches.sum()
    random, reached = np.random.default_rng(1), []
    for _ in range(300):
        chosen = random.choice(32, 4, replace=False)
        first, second = np.isin(i, chosen), np.isin(j, chosen)
        one = first | second
        reached.append(average_precision_score((first & second)[one], similarity[i, j][one]))
    assert row["chance"] == pytest.approx(np.mean(reached), abs=4 * np.std(reached) / np.sqrt(200))
    assert row["chance"] > within.sum() / touches.sum()


def test_planted_complexes_are_found_and_noise_is_not() -> None:
    clean, sets = planted(0.05)
    headline = complexes(clean, annotations=sets).headline.set_index("metric")
    assert headline.loc["average precision", "value"] == pytest.approx(1.0)
    noisy, _ = planted(50.0)
    row = complexes(noisy, annotations=sets).table.set_index("metric").loc["average precision"]
    assert row["value"] < row["null_p95"] * 1.3
    assert row["null_mean"] == pytest.approx(row["chance"], rel=0.25)


def test_complexes_with_an_effect_stand_out_by_group() -> None:
    data, sets = planted(0.05)
    data.obsm["salient"][16:32] = np.random.default_rng(1).normal(size=(16, 16))
    groups = {f"C{c}": "novel" if c < 4 else "shifted" for c in range(8)}
    result = complexes(data, annotations=sets, groups=groups)
    mean = result.table[result.table["metric"] == "mean complex average precision"].set_index("group")
    assert mean.loc["novel", "value"] > 0.9 > 0.5 > mean.loc["shifted", "value"]
    assert list(mean["n"]) == [4, 4]
    assert "mean complex average precision, novel" in set(result.headline["metric"])


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_neither_rotation_nor_scale_nor_the_order_of_genes_matters(seed: int, scale: float) -> None:
    data, sets = planted(1.0, complexes_=4, size=3)
    expected = complexes(data, annotations=sets).table
    rotation = special_ortho_group.rvs(16, random_state=seed)
    order = np.random.default_rng(seed).permutation(data.n_obs)
    moved = AnnData(obs=data.obs.iloc[order], obsm={"salient": (scale * data.obsm["salient"] @ rotation)[order]})
    pd.testing.assert_frame_equal(complexes(moved, annotations=sets).table, expected)


def test_profiles_of_zeros_rank_nothing() -> None:
    data, sets = planted(1.0)
    data.obsm["salient"][:] = 0
    row = complexes(data, annotations=sets).table.set_index("metric").loc["average precision"]
    assert row["value"] == pytest.approx(row["chance"])


def test_notes_tell_what_was_judged_and_what_was_unknown() -> None:
    vectors = np.random.default_rng(0).normal(size=(10, 5))
    judged, unknown, _ = complexes(profiles(vectors), annotations=SETS).notes
    assert judged.startswith("Judged 6 genes of 3 complexes")
    assert "1 of 7 annotated genes are unknown" in unknown
    assert "4 of 10 genes of the screen are in no set" in unknown


def test_cells_in_place_of_profiles_and_foreign_groups_are_refused() -> None:
    data, sets = planted(1.0)
    twice = AnnData(obs=data.obs.iloc[[0, 0, 1]].reset_index(drop=True).rename(str), obsm={"salient": np.eye(3)})
    with pytest.raises(BenchmarkError, match="3 rows have 2 names"):
        complexes(twice, annotations=sets)
    with pytest.raises(BenchmarkError, match="groups names X"):
        complexes(data, annotations=sets, groups={"X": "novel"})
    with pytest.raises(BenchmarkError, match="no space 'latent'"):
        complexes(data, annotations=sets, spaces=["latent"])


def test_pairs_in_place_of_sets_give_the_same_numbers_of_pairs() -> None:
    data, sets = planted(1.0)
    pairs = Annotations(pairs=pairs_of((a, b) for genes in sets.values() for a in genes for b in genes))
    of_sets, of_pairs = (complexes(data, annotations=known) for known in (sets, pairs))
    assert "KS of similarity within sets" not in set(of_pairs.table["metric"])
    kept = of_sets.table[of_sets.table["metric"].isin(of_pairs.table["metric"])].reset_index(drop=True)
    assert len(kept) == len(of_pairs.table)
    same = ["space", "metric", "percentile", "null_mean", "null_p95", "value", "chance", "n"]
    pd.testing.assert_frame_equal(kept[same], of_pairs.table[same])
    assert "The annotations are pairs and not sets" in of_pairs.notes[0]
    with pytest.raises(BenchmarkError, match="groups sorts complexes, but these annotations are pairs"):
        complexes(data, annotations=pairs, groups={"C0": "novel"})


def test_efaar_takes_its_percentiles_from_all_pairs_of_the_screen() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5))
    table = complexes(profiles(vectors), annotations=SETS).table.set_index("metric")
    i, j = np.triu_indices(30, k=1)
    every = cosine_similarity(vectors)[i, j]
    related = [any({f"G{a}", f"G{b}"} <= s for s in SETS.values()) for a, b in zip(i, j, strict=True)]
    for low, high in ((0.05, 0.95), (0.1, 0.9)):
        inside = np.array([np.mean(every <= s) <= low or np.mean(every < s) >= high for s in every])
        row = table.loc[f"EFAAR recall at {low * 100:.0f}/{high * 100:.0f}"]
        assert row["value"] == pytest.approx(inside[related].mean())
        # 21 and 43 of 435 pairs in each tail
        assert (row["chance"], row["n"]) == (inside.mean(), 30 * 29 / 2)
        assert row["chance"] == 2 * int(low * 435) / 435


def test_aliases_bring_names_together_and_are_reported() -> None:
    data, sets = planted(1.0)
    older = {"G0": "OLD0", "G5": "OLD5"}
    renamed = {name: [older.get(gene, gene) for gene in genes] for name, genes in sets.items()}
    result = complexes(data, annotations=renamed, aliases={old: new for new, old in older.items()})
    pd.testing.assert_frame_equal(result.table, complexes(data, annotations=sets).table)
    assert "Aliases changed 2 of 32 annotated names and 0 of 32 names of the screen" in result.notes[-1]


def test_intervals_stand_beside_the_headline_numbers() -> None:
    data, sets = planted(1.0)
    table = complexes(data, annotations=sets, groups={"C0": "a", "C1": "a", "C2": "b"}).table
    single = table["metric"].isin(["complex average precision", "KS of similarity within sets"])
    alone = table["group"].eq("b")
    bounded = table[~single & ~alone]
    assert (bounded["low"] <= bounded["value"] + 1e-12).all() and (bounded["value"] <= bounded["high"] + 1e-12).all()
    assert table.loc[single | alone, ["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(("complexes_", "said"), [(5, True), (6, False)])
def test_genes_so_few_that_the_diagonal_fills_the_tail_are_noted(complexes_: int, said: bool) -> None:
    data, sets = planted(0.1, complexes_=complexes_)
    result = complexes(data, annotations=sets)
    assert any("no two genes can be called alike" in note for note in result.notes) == said
    if said:
        at_p95 = result.table[(result.table["metric"] == "recall") & (result.table["percentile"] == 95)]
        assert at_p95["value"].item() == 0
        assert values(result.table, "average precision").item() > 0.9
