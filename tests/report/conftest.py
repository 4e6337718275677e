"""What tests of the report share: a folder of cards, benchmarks to go with it, and a function that opens pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from contrascope.benchmarks.result import Result
from contrascope.report.gathered import Gathered, read_gathered

HOSTILE = '<script>alert("x")</script>'
NAMES = ("SEP2", "NA", HOSTILE, "7", "A B/ä#%41", "quiet")


@pytest.fixture
def gathered(tmp_path: Path) -> Gathered:
    """Cards of six perturbations, whose names are hard."""
    folder = tmp_path / "cards"
    folder.mkdir()
    Image.fromarray(np.zeros((30, 60, 3), dtype=np.uint8)).save(folder / "a.webp")
    guides = [(name, f"{name}_{k}", 10 * (i + 1) + k, 2.0, 0.5) for i, name in enumerate(NAMES) for k in (1, 2)]
    ring = [*NAMES[1:], NAMES[0]]
    tables: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {
        "guides": (["perturbation", "guide", "cells", "effect", "cosine"], guides),
        "neighbours": (
            ["perturbation", "place", "neighbour", "cosine"],
            [(name, 1, other, 0.9) for name, other in zip(NAMES, ring, strict=True)],
        ),
        "cells": (
            ["perturbation", "kind", "place", "row", "control", "distance", "own_batch", "other", "random"],
            [
                (name, ("marked", "typical")[k], k, 7 * i + k, 50 + k, 1.5, True, 60, 7 * i + k)
                for i, name in enumerate(NAMES)
                for k in (0, 1)
            ],
        ),
        "pictures": (
            ["perturbation", "view", "file", "rows", "amplification", "height", "width"],
            [
                (name, view, "a.webp", "cells matched random other", 0, 30, 60)
                for name in NAMES
                for view in ("composite", "DNA", "GFP")
            ],
        ),
        "agreement": (
            ["space", "metric", "perturbation", "guide", "value", "chance", "percentile", "n"],
            [("salient", "between guides", name, "", 0.8, 0.01, 99.0, 2) for name in NAMES[:5]],
        ),
    }
    for name, (columns, rows) in tables.items():
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"{name}.csv", index=False)
    facts = {"space": "salient", "channels": ["DNA", "GFP"], "bar_um": 10, "no_agreement": ""}
    (folder / "facts.json").write_text(json.dumps(facts))
    return read_gathered(folder)


def result(name: str, rows: list[dict[str, Any]], headline: list[dict[str, Any]] | None = None) -> Result:
    columns = ["space", "metric", "value", "chance", "n"]
    return Result(name, pd.DataFrame(rows), pd.DataFrame(headline or [], columns=columns))


@pytest.fixture
def results() -> dict[str, Result]:
    """SEP2 and NA are hits, the one novel, the other shifted; of 7 cells and guides say different things."""
    q = {"SEP2": (0.002, 0.01), "NA": (0.03, 0.04), HOSTILE: (0.5, 0.6), "7": (0.01, 0.3), "A B/ä#%41": (0.9, np.nan)}
    hits = [
        {"space": space, "metric": "energy distance", "perturbation": name, "value": 0.1}
        | {"p_cells": a / 2, "q_cells": a, "q_guides": b}
        for space in ("salient", "background")
        for name, (a, b) in q.items()
    ]
    for row in hits:
        if row["space"] == "background":
            row["q_cells"] = row["q_guides"] = 0.9
    hits.append({"space": "salient", "metric": "control guide", "perturbation": "c1", "value": 9.0})
    shares = {"SEP2": (0.85, 0.7, 0.95), "NA": (0.2, 0.1, 0.4), HOSTILE: (0.5, 0.0, 1.0), "7": (0.6, 0.2, 0.9)}
    norms = {"SEP2": 1.5, "NA": 2.5, HOSTILE: 0.0, "7": 0.2}
    novelty = [
        {"space": space, "metric": "effect norm", "perturbation": name, "value": value, "p": 0.01, "q": 0.02}
        for space in ("salient", "background")
        for name, value in norms.items()
    ] + [
        {"space": "combined", "metric": "salient share", "perturbation": name, "value": value, "low": low, "high": high}
        for name, (value, low, high) in shares.items()
    ]
    return {"hits": result("hits", hits), "novelty": result("novelty", novelty)}


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A maker of results from rows and a headline."""
    return result


@pytest.fixture
def open_page(new_page: Callable[..., Any]) -> Callable[..., Any]:
    """A function that opens a file in a new page."""

    def opened(path: Path, address: str = "", **options: Any) -> Any:
        page = new_page(**options)
        page.goto(f"{path.as_uri()}{address}")
        return page

    return opened
