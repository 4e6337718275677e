"""Cells are what nature, chance and their guide make of them, as the design says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contrascope.screen.simulation.cells import CYCLE, LIMIT, PHASES, RADIUS, Cells, place_cells
from contrascope.screen.simulation.design import STRUCTURES, Design

Crowd = tuple[Design, Cells, np.ndarray]


def test_controls_are_27_percent_of_a_pool(crowd: Crowd) -> None:
    design, cells, _ = crowd
    assert np.mean([design.guides[g].gene is None for g in cells.guide]) == pytest.approx(0.27, abs=0.01)


def test_penetrance_is_the_share_of_cells_that_show_it(crowd: Crowd) -> None:
    design, cells, _ = crowd
    for i in range(0, len(design.guides), 7):
        shown = cells.penetrant[cells.guide == i]
        error = 4 * np.sqrt(0.25 / len(shown))
        assert shown.mean() == pytest.approx(design.guides[i].penetrance, abs=error)


def test_about_5_percent_of_controls_divide(crowd: Crowd) -> None:
    _, cells, complexes = crowd
    assert cells.mitotic[complexes == ""].mean() == pytest.approx(0.05, abs=0.01)


def test_shifted_cells_stay_within_what_controls_show(crowd: Crowd) -> None:
    _, cells, complexes = crowd
    controls = complexes == ""
    for complex_name, factor, sign in [
        ("alpha", "radius", 1),
        ("gamma", "radius", -1),
        ("gamma", "cortex", 1),
        ("delta", "fibres", 1),
    ]:
        values = sign * getattr(cells, factor)
        moved = values[(complexes == complex_name) & cells.penetrant]
        assert moved.mean() > values[controls].mean() + 0.8 * values[controls].std()
        assert moved.max() <= values[controls].max() + 1e-9 * abs(values[controls].max())


def test_only_novel_complexes_have_structures(crowd: Crowd) -> None:
    _, cells, complexes = crowd
    carriers = {name: set(complexes[cells.structure == i]) for i, name in enumerate(STRUCTURES) if i}
    assert carriers == {"cage": {"epsilon"}, "micronuclei": {"zeta"}, "aggregates": {"eta"}, "vacuoles": {"theta"}}
    assert not cells.structure[~cells.penetrant].any()


def test_cells_hardly_overlap() -> None:
    rng = np.random.default_rng(3)
    radius = rng.uniform(16, 25, 140)
    places = place_cells(radius, tile_size=720, border=22, rng=rng)
    assert places.min() >= -22 and places.max() <= 741
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e6 * np.eye(140)
    assert (apart > 0.7 * (radius[:, None] + radius[None])).all()


def test_sizes_of_controls_are_log_normal_and_end_where_shifted_cells_do(crowd: Crowd) -> None:
    _, cells, complexes = crowd
    z = np.log(cells.radius[complexes == ""] / RADIUS) / 0.115
    assert np.abs(z).max() == pytest.approx(LIMIT)
    inside = z[np.abs(z) < LIMIT - 1e-9]
    assert len(inside) / len(z) == pytest.approx(1 - 2 * stats.norm.sf(LIMIT), abs=0.005)
    assert stats.kstest(inside, stats.truncnorm(-LIMIT, LIMIT).cdf).pvalue > 0.01


def test_the_cycle_has_its_shares_and_dna_doubles_in_it(crowd: Crowd) -> None:
    _, cells, _ = crowd
    for phase, share in zip(PHASES, CYCLE, strict=False):
        of_phase = cells.phase == PHASES.index(phase)
        assert of_phase.sum() / (~cells.mitotic).sum() == pytest.approx(share, abs=0.01)
    assert set(cells.dna[cells.phase == PHASES.index("G1")]) == {1}
    assert set(cells.dna[cells.phase >= PHASES.index("G2")]) == {2}
    replicating = cells.dna[cells.phase == PHASES.index("S")]
    assert stats.kstest(replicating, stats.uniform(1, 1).cdf).pvalue > 0.01


def test_a_cell_that_its_guide_leaves_alone_is_as_a_control_is(crowd: Crowd) -> None:
    _, cells, complexes = crowd
    bare, controls = (complexes != "") & ~cells.penetrant, complexes == ""
    for factor in ("radius", "elongation", "texture_amplitude", "bundles", "fibres", "cortex", "foci"):
        values = getattr(cells, factor)
        error = values.std() * np.sqrt(1 / bare.sum() + 1 / controls.sum())
        assert abs(values[bare].mean() - values[controls].mean()) < 4 * error, factor


def test_cells_taken_by_rows_keep_all_that_they_are(crowd: Crowd) -> None:
    _, cells, _ = crowd
    rows = np.array([7, 3, 39_999])
    some = cells.take(rows)
    assert len(some) == 3
    for i, row in enumerate(rows):
        assert some.light[i].tolist() == cells.light[row].tolist()
        assert (some.guide[i], some.radius[i], some.mitotic[i]) == (
            cells.guide[row], cells.radius[row], cells.mitotic[row],
        )  # fmt: skip
