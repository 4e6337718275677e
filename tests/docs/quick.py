"""contrascope with small things in place of large ones, so that what pages say can be run as it stands.

The demo is the tiny screen; preset ``auto`` is one epoch of a small model on small pictures; fewer permutations are
drawn. As a script it is the command line: ``python quick.py demo --out demo``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SMALL = {"epochs": 1, "image_size": 16, "background_size": 4, "salient_size": 3}


def changes() -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Where something is, its name there, and what it is to be."""
    from contrascope import pipeline
    from contrascope.config import training
    from contrascope.registry import BENCHMARKS
    from contrascope.screen.simulation import design

    auto = training.auto_preset
    yield training.PRESETS, "auto", lambda n_cells: auto(n_cells) | SMALL
    yield design.PRESETS, "small", design.PRESETS["tiny"]
    yield vars(pipeline), "_MEASURING", 1
    for name, permutations in (("functions", 3), ("hits", 19)):
        yield BENCHMARKS[name].__kwdefaults__, "permutations", permutations


if __name__ == "__main__":
    from contrascope.cli import main

    for where, name, value in changes():
        where[name] = value
    main()
