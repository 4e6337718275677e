"""metrics.csv: everything that was logged, as ``step name value``, a line at a time."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from contrascope.store.files import appearing

_COLUMNS = ("step", "name", "value")


class TidyMetrics(Logger):
    """Appends to a CSV file.

    Args:
        path: The file.
        start: Lines of this step and later are dropped: they are logged again by a training that goes on from it.
    """

    def __init__(self, path: Path, *, start: int):
        super().__init__()
        self.path, self._start, self._began = path, start, False

    @property
    def name(self) -> str:
        """Of the logger, as Lightning asks for it."""
        return "metrics"

    @property
    def version(self) -> str:
        """None: a run has one such file."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Written to run.json instead."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """A line a metric."""
        if not self._began:
            self._begin()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            rows = [(step, name, value) for name, value in metrics.items() if name != "epoch"]
            csv.writer(file, lineterminator="\n").writerows(rows)

    def _begin(self) -> None:
        kept: list[list[str]] = []
        if self._start and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                # A line that a crash cut short has fewer columns, or is of a step that comes again.
                kept = [row for row in list(csv.reader(file))[1:] if len(row) == 3 and int(row[0]) < self._start]
        with appearing(self.path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *kept])
        self._began = True
