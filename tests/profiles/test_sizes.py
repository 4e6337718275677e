"""Sizes of effects: unbiased, whatever the numbers of cells and guides, and intervals that cover the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from contrascope.errors import BenchmarkError
from contrascope.profiles import averaged, centred
from contrascope.profiles.sizes import Guides, Moments, Sizes, control_sizes, effect_sizes, resampled_squares
from contrascope.profiles.sums import summed

# Guide -> perturbation and number of cells: few and many, one guide and three.
DESIGN = {
    "a1": ("a", 3), "b1": ("b", 4), "b2": ("b", 9), "b3": ("b", 30), "c1": ("c", 80),
    "n1": ("nt", 40), "n2": ("nt", 25), "n3": ("nt", 60),
}  # fmt: skip
EFFECTS = {"a": 0.0, "b": 1.0, "c": 2.0}


def screen(seed: int, *, features: int = 6, effects: dict[str, float] = EFFECTS) -> AnnData:
    """Cells with unequal spreads of features; effects along the first."""
    guide = np.repeat(list(DESIGN), [n for _, n in DESIGN.values()])
    perturbation = np.array([DESIGN[g][0] for g in guide])
    noise = np.random.default_rng(seed).normal(size=(len(guide), features)) * np.linspace(0.5, 1.5, features)
    noise[:, 0] += [effects.get(p, 0.0) for p in perturbation]
    obs = pd.DataFrame(
        {"guide": guide, "perturbation": perturbation, "control": perturbation == "nt"},
        index=[str(i) for i in range(len(guide))],
    )
    return AnnData(obs=obs, obsm={"x": noise + 5.0})


def sizes(cells: AnnData) -> tuple[Sizes, Sizes]:
    guides = Guides.of(cells)
    moments = Moments.of(cells.obsm["x"], guides)
    return effect_sizes(moments, guides), control_sizes(moments, guides)


def test_effects_are_those_of_centred_profiles() -> None:
    cells = screen(0)
    profiles = centred(averaged(cells))
    expected = (profiles.obsm["x"] ** 2).sum(axis=1)[~profiles.obs["control"].to_numpy()]
    np.testing.assert_allclose(sizes(cells)[0].squared, expected)


def test_noise_is_the_variance_of_a_mean_of_guides_in_a_readable_loop() -> None:
    cells = screen(0)
    x = {g: cells.obsm["x"][cells.obs["guide"] == g] for g in DESIGN}

    def noise(guides: list[str]) -> float:
        squares = sum(((cell - x[g].mean(axis=0)) ** 2).sum() for g in guides for cell in x[g])
        variance = squares / sum(len(x[g]) - 1 for g in guides)
        return float(variance * sum(1 / len(x[g]) for g in guides) / len(guides) ** 2)

    effects, controls = sizes(cells)
    origin = noise(["n1", "n2", "n3"])
    np.testing.assert_allclose(effects.noise, [noise(g) + origin for g in (["a1"], ["b1", "b2", "b3"], ["c1"])])
    np.testing.assert_allclose(controls.noise[1], noise(["n2"]) + noise(["n1", "n3"]))
    difference = x["n2"].mean(axis=0) - (x["n1"].mean(axis=0) + x["n3"].mean(axis=0)) / 2
    np.testing.assert_allclose(controls.squared[1], difference @ difference)


def test_sizes_are_right_on_average_however_few_the_cells() -> None:
    found = [sizes(screen(seed)) for seed in range(400)]
    unbiased = np.array([effects.unbiased for effects, _ in found])
    error = unbiased.std(axis=0) / 20
    assert (np.abs(unbiased.mean(axis=0) - np.square(list(EFFECTS.values()))) < 3 * error).all()
    plain = np.mean([effects.squared for effects, _ in found], axis=0)
    assert plain[0] > 20 * error[0]  # three cells alone look like an effect
    ratios = np.array([controls.ratio for _, controls in found])
    np.testing.assert_allclose(ratios.mean(axis=0), 1, atol=0.12)


def test_what_guides_differ_by_is_found_on_average_and_so_are_effects_of_nothing_whatever_the_cells() -> None:
    names = np.array([f"{p}{i:02d}" for p in "ab" for i in range(20)] + [f"n{i:02d}" for i in range(30)])
    counts = np.array([4] * 20 + [90] * 20 + [10, 30, 50] * 10)
    which = np.repeat(np.arange(70), counts)
    perturbation = np.where(names < "n", names, "nt")[which]
    labels = {"guide": names[which], "perturbation": perturbation, "control": perturbation == "nt"}
    cells = AnnData(obs=pd.DataFrame(labels, index=range(len(which))).rename(str))
    guides, found, squared, by_chance = Guides.of(cells), [], [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        x = random.normal(size=(len(which), 3)) + 0.4 * random.normal(size=(70, 3))[which]
        moments = Moments.of(x, guides)
        found.append(moments.between(guides.controls))
        effects = effect_sizes(moments, guides, between=found[-1])
        squared.append(effects.squared.reshape(2, 20).mean(axis=1))
        by_chance.append(effects.by_chance.reshape(2, 20).mean(axis=1))
    assert np.mean(found) == pytest.approx(3 * 0.4**2, rel=0.05)
    np.testing.assert_allclose(np.mean(squared, axis=0), np.mean(by_chance, axis=0), rtol=0.05)


def test_intervals_cover_the_truth() -> None:
    covered = []
    for seed in range(150):
        cells = screen(seed)
        guides = Guides.of(cells)
        effects, _ = sizes(cells)
        drawn = np.array(list(resampled_squares(cells.obsm["x"], guides, draws=100, seed=seed)))
        low, high = np.percentile(drawn - 2 * effects.noise[:, None], [2.5, 97.5], axis=1)
        truth = np.square(list(EFFECTS.values()))
        covered.append((low <= truth) & (truth <= high))
    coverage = np.mean(covered, axis=0)
    assert (coverage > 0.88).all(), coverage


def test_drawing_anew_adds_the_noise_once_more() -> None:
    cells = screen(1)
    effects, _ = sizes(cells)
    drawn = np.array(list(resampled_squares(cells.obsm["x"], Guides.of(cells), draws=3000, seed=0)))
    assert drawn[2].mean() == pytest.approx(effects.squared[2] + effects.noise[2], rel=0.02)


def test_drawing_three_cells_anew_adds_their_whole_noise_on_average() -> None:
    added, noise = [], []
    for seed in range(150):
        cells = screen(seed)
        effects, _ = sizes(cells)
        drawn = np.array(list(resampled_squares(cells.obsm["x"], Guides.of(cells), draws=60, seed=seed)))
        added.append((drawn.mean(axis=1) - effects.squared)[0])
        noise.append(effects.noise[0])
    assert np.mean(added) == pytest.approx(np.mean(noise), rel=0.06)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_rotation_and_shift_do_not_matter_and_scale_only_to_units(seed: int, scale: float, shift: float) -> None:
    cells = screen(3)
    expected, expected_controls = sizes(cells)
    cells.obsm["x"] = scale * cells.obsm["x"] @ special_ortho_group.rvs(6, random_state=seed) + shift
    effects, controls = sizes(cells)
    np.testing.assert_allclose(effects.squared, scale**2 * expected.squared, rtol=1e-6)
    np.testing.assert_allclose(effects.ratio, expected.ratio, rtol=1e-6)
    np.testing.assert_allclose(controls.ratio, expected_controls.ratio, rtol=1e-6)


def test_guides_of_one_cell_take_the_variance_of_controls() -> None:
    cells = screen(0)
    first = cells.obs["guide"].eq("a1").idxmax()
    cells = cells[(cells.obs["guide"] != "a1") | (cells.obs_names == first)].copy()
    effects, _ = sizes(cells)
    guides = Guides.of(cells)
    moments = Moments.of(cells.obsm["x"], guides)
    assert effects.noise[0] == pytest.approx(moments.variance(guides.controls) + moments.noise(guides.controls))


def test_a_space_in_which_nothing_varies_holds_no_effect() -> None:
    cells = screen(0)
    cells.obsm["x"][:] = 0.1
    effects, _ = sizes(cells)
    np.testing.assert_array_equal(effects.squared, 0)
    np.testing.assert_array_equal(effects.ratio, 1)


def test_sums_and_screens_without_controls_are_refused() -> None:
    cells = screen(0)
    with pytest.raises(BenchmarkError, match="Cells were needed"):
        Guides.of(summed(cells))
    cells.obs["control"] = False
    with pytest.raises(BenchmarkError, match="0 of 8 guides are controls"):
        Guides.of(cells)
