"""The words of the house: column names of the cell table, names of embeddings, shape letters.

Shape letters never change meaning: N cells, B batch, C channels, H W pixels, Z background, S salient,
K perturbations, G genes. In a table of cells ``y`` is the row and ``x`` the column, in pixels of the tile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

PLATE, WELL, TILE = "plate", "well", "tile"
CELL_ID = "cell_id"
Y, X = "y", "x"
GUIDE, PERTURBATION, CONTROL = "guide", "perturbation", "control"
STAGE, BATCH = "stage", "batch"
TILE_ROW, TILE_COLUMN = "tile_row", "tile_column"
"""Where a tile lies in its well's grid of tiles, if the table says so."""
FIELD_DISTANCE = "field_distance"
"""Chebyshev distance of a cell from its tile's centre, as a share of the half-width: 0 centre, 1 border."""
SPLIT = "split"

REQUIRED = (PLATE, WELL, TILE, Y, X, GUIDE, PERTURBATION)
"""Columns that a cell table must have, by mapping, preset or constant."""
OPTIONAL = (CELL_ID, STAGE, TILE_ROW, TILE_COLUMN)
"""Columns that are used when they are there."""

BACKGROUND, SALIENT, TECHNICAL, COMBINED = "background", "salient", "technical", "combined"
UNTRAINED, INTENSITY = "untrained", "intensity"
"""The two baselines that stand beside every embedding: a random encoder, and intensities per channel."""
CELLPROFILER = "cellprofiler"
"""Principal components of what CellProfiler measures: the rival, where it is at hand."""
FEATURES = "features"
"""Where measurements stand in ``obsm``, as a data frame with their names."""
CELL_IMAGES = "single_cell_images"
"""Where crops stand in AnnData, as scPortrait has it."""
INTENSITY_PERCENTILES = (1, 25, 50, 75, 99)
"""The intensities of a channel are its mean, its standard deviation and these percentiles, channel by channel."""
DEVIATIONS = {BACKGROUND: "background_sd", SALIENT: "salient_sd", TECHNICAL: "technical_sd"}
"""Space -> the posterior standard deviations in it; they stand beside the spaces and are none themselves."""
RECONSTRUCTION_ERROR = "reconstruction_error"
"""Mean squared difference of a cell's pixels from what the model decodes, in the model's range."""


class Batch(NamedTuple):
    """Cells on their way into a model.

    Attributes:
        images: (B, C, H, W) in the transform's range, about -1 to 1.
        perturbation: (B,) int64; 0 is control, 1 ... K are the perturbations in the run's order.
        rows: (B,) int64, the cells' rows in the store.
        technical: (B, F) int64, how each cell was imaged: a level of each of F columns (``sampling/technical.py``);
            None where no model asks.
    """

    images: torch.Tensor
    perturbation: torch.Tensor
    rows: torch.Tensor
    technical: torch.Tensor | None = None


class Share(NamedTuple):
    """The part of every batch that one of several processes holds: as large a part of each half as the others hold.

    Attributes:
        rank: Which of the processes.
        of: How many there are.
    """

    rank: int = 0
    of: int = 1

    def places(self, cells: int) -> np.ndarray:
        """(cells / of,) places in a batch of so many cells: first those in the perturbed half, then among controls."""
        halves = np.arange(cells).reshape(2, self.of, -1)
        return halves[:, self.rank].ravel()


WHOLE = Share()
"""All of it: the share of a process that is alone."""
