"""Cells of a simulated screen, before they are painted."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.screen.simulation.cells import Cells, draw_cells
from contrascope.screen.simulation.design import PRESETS, Design, design_screen


@pytest.fixture(scope="session")
def crowd() -> tuple[Design, Cells, np.ndarray]:
    """The design, many cells without their pictures, and the complex that each one's guide is of. Read only."""
    design = design_screen(PRESETS["tiny"], np.random.default_rng(0))
    cells = draw_cells(design, 40_000, rim=False, rng=np.random.default_rng(1))
    complexes = np.array([guide.gene.complex or "" if guide.gene else "" for guide in design.guides])[cells.guide]
    return design, cells, complexes
