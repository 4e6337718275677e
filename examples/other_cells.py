"""What can be read from cells on which nothing acts, and that a model has not learned to say nothing of?

    python examples/other_cells.py DEMO      DEMO: what `contrascope demo` wrote

A probe learns stage and batch from the controls that the model was trained on, and is asked of the controls that were
held out, and of the inert genes' cells (IOTA); beside it, the probe that benchmarks use, on controls alone. Printed is
AUROC and, in brackets, the mean and the largest of 20 probes whose labels were permuted before they learned.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from contrascope.benchmarks.probe import auroc, linear_probe
from contrascope.tables import read_anndata

PERMUTATIONS = 20
Rows = NDArray[np.intp]


def read(features: np.ndarray, labels: np.ndarray, seen: Rows, asked: Rows) -> str:
    """AUROC on the cells asked, and what permuted labels give."""
    random = np.random.default_rng(0)
    learned = [labels[seen], *(random.permutation(labels[seen]) for _ in range(PERMUTATIONS))]
    found = [auroc(labels[asked], linear_probe(features[seen], told, features[asked]).probability) for told in learned]
    return f"{found[0]:.3f} ({np.mean(found[1:]):.3f}, {np.max(found[1:]):.3f})"


def main(demo: Path) -> None:
    """Print a row a space and column of labels."""
    cells = read_anndata(demo / "analysis" / "embedding" / "cells.h5ad")
    control = cells.obs["control"].to_numpy(dtype=bool)
    held_out = (cells.obs["split"] != "train").to_numpy()
    inert = cells.obs["perturbation"].astype(str).str.startswith("IOTA").to_numpy()
    learned_from = np.flatnonzero(control & ~held_out)
    rows = []
    for space in ("background", "salient"):
        for column in ("stage", "batch"):
            labels = pd.factorize(cells.obs[column])[0]
            part, rest = train_test_split(
                np.flatnonzero(control), test_size=0.4, stratify=labels[control], random_state=0
            )
            features = cells.obsm[space]
            rows.append(
                {
                    "space": space,
                    "of": column,
                    "controls, as benchmarks do": read(features, labels, part, rest),
                    "controls held out": read(features, labels, learned_from, np.flatnonzero(control & held_out)),
                    "inert genes": read(features, labels, learned_from, np.flatnonzero(inert)),
                }
            )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
