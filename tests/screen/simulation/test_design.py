"""A design holds the genes, guides and effects that it is said to hold."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.errors import SettingsError
from contrascope.screen.simulation.design import (
    CHANNELS,
    FACTORS,
    PHENOTYPES,
    PRESETS,
    STRUCTURES,
    Design,
    design_screen,
    preset_named,
)


@pytest.fixture(scope="module")
def design() -> Design:
    return design_screen(PRESETS["tiny"], np.random.default_rng(0))


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"'huge'.*tiny, small, medium"):
        preset_named("huge")
    assert preset_named("medium").n_tiles == 4 * 6 * 36


def test_a_gene_shifts_what_its_complex_shifts_and_a_little_of_its_own(design: Design) -> None:
    for gene in design.genes:
        shift = dict(zip(FACTORS, gene.shift, strict=True))
        if gene.phenotype is None:
            assert set(shift.values()) == {0.0}, "an inert gene does nothing"
            continue
        for factor, wanted in gene.phenotype.shift.items():
            assert np.sign(shift[factor]) == np.sign(wanted)
        idle = [shift[factor] for factor in FACTORS if factor not in gene.phenotype.shift]
        assert np.abs(idle).max() < 0.7, "nothing beside is as large as a phenotype"


def test_genes_of_a_complex_shift_alike_and_those_of_different_ones_do_not(design: Design) -> None:
    shifted = [g for g in design.genes if g.phenotype and g.phenotype.shift]
    alike, unlike = [], []
    for i, a in enumerate(shifted):
        for b in shifted[:i]:
            (alike if a.complex == b.complex else unlike).append(np.corrcoef(a.shift, b.shift)[0, 1])
    assert min(alike) > 0.8 > max(unlike)


def test_no_novel_complex_changes_how_much_light_there_is(design: Design) -> None:
    light = [FACTORS.index(f"light_{channel}") for channel in CHANNELS]
    novel = [g for g in design.genes if g.phenotype and g.phenotype.kind == "novel"]
    assert len(novel) == 12
    assert not np.stack([gene.shift for gene in novel])[:, light].any()
    assert {g.phenotype.structure for g in novel if g.phenotype} == set(STRUCTURES) - {"none"}


def test_every_cell_gets_a_guide_and_guides_of_one_kind_are_as_frequent(design: Design) -> None:
    assert design.probability.sum() == pytest.approx(1)
    controls = np.array([guide.gene is None for guide in design.guides])
    for kind in (controls, ~controls):
        assert len(set(design.probability[kind].round(12))) == 1
    assert len({guide.name for guide in design.guides}) == len(design.guides)
    for complex_name in PHENOTYPES:
        assert sum(g.gene is not None and g.gene.complex == complex_name for g in design.guides) == 12


@pytest.mark.parametrize("preset", list(PRESETS))
def test_plates_and_wells_have_names_of_their_own(preset: str) -> None:
    design = design_screen(PRESETS[preset], np.random.default_rng(0))
    assert len(set(design.plates)) == PRESETS[preset].plates
    assert len(set(design.wells)) == PRESETS[preset].wells
