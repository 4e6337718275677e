"""What a row of the data stands for: a cell, a guide or a perturbation; and which of them a benchmark takes.

A benchmark says so by the name of its first parameter: ``cells``, ``guides`` (profiles of guides) or ``profiles`` (of
perturbations). Profiles say of how many cells they are.
"""

from __future__ import annotations

import inspect

from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import N_CELLS, holds_sums
from contrascope.registry import BENCHMARKS
from contrascope.vocabulary import GUIDE

_WORDS = {"cells": "cells", "guides": "profiles of guides", "profiles": "profiles of perturbations"}
_REMEDY = {
    "cells": "Give it the embedded cells",
    "guides": "Give it the embedded cells, or profiles by guide (contrascope profile --by guide)",
}


def taken_by(name: str) -> str:
    """What a benchmark takes: cells, guides or profiles; one of somebody else's may call it otherwise."""
    return next(iter(inspect.signature(BENCHMARKS[name]).parameters))


def refuse_other_rows(data: AnnData, name: str) -> None:
    """Make sure that profiles are not taken for cells, nor those of perturbations for those of guides.

    Raises:
        BenchmarkError: They would be. Each answer would come without a complaint, and mean nothing.
    """
    if N_CELLS not in data.obs or holds_sums(data):
        return
    found, takes = "guides" if GUIDE in data.obs else "profiles", taken_by(name)
    if takes == "cells" or (takes, found) == ("guides", "profiles"):
        raise BenchmarkError(
            f"{name} takes {_WORDS[takes]}, and the rows of these data are {_WORDS[found]}: obs['{N_CELLS}'] says of "
            f"how many cells each is. {_REMEDY[takes]}."
        )
