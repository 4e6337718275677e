"""What each stage of a screen is made from, as the fingerprint by which it is known to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contrascope.config import OF_EMBEDDING, fingerprint, training_settings
from contrascope.errors import RunError
from contrascope.line import judging
from contrascope.line.finished import Finished
from contrascope.line.stages import Stages, key
from contrascope.line.training_run import parent_run
from contrascope.screen.screen import Screen
from contrascope.store.crops import store_fingerprint
from contrascope.training.fit import run_fingerprint
from contrascope.training.run import Run


@dataclass
class MadeFrom:
    """Of the stages that settings say something about; each is known once those before it are done.

    Attributes:
        screen: Where they begin.
        made: What finished stages left.
        stages: What is done.
    """

    screen: Screen
    made: Finished
    stages: Stages

    @property
    def store(self) -> str:
        """The crops."""
        return store_fingerprint(self.screen)

    def run(self, parent: Run | None) -> tuple[str, str]:
        """The training, and the run with how it is used."""
        settings, store = self.made.settings, self.made.store
        asked = training_settings(len(store), **settings.training)
        trained = run_fingerprint(store, settings.model, asked, parent)
        return trained, fingerprint([trained, *(getattr(asked, name) for name in OF_EMBEDDING)])

    @property
    def cells(self) -> str:
        """The embedding."""
        seen = [getattr(self.made.run.settings, name) for name in OF_EMBEDDING]
        wanted = self.made.settings.embedding.model_dump(exclude_defaults=True)
        return key("cells", self.made.run.fingerprint, *seen, *([wanted] if wanted else []))

    @property
    def features(self) -> str:
        """CellProfiler's features, where the screen asks for them."""
        settings = self.made.settings.features
        return key("features", self.stages["store"], None if settings is None else settings.model_dump(mode="json"))

    def answer(self, name: str, options: Mapping[str, Any]) -> str:
        """A benchmark."""
        return key(name, self.stages["profiles"], judging.told_apart(options), *self.rival)

    @property
    def figures(self) -> str:
        """The pictures."""
        return key("figures", self.stages["profiles"], self.made.settings.map_cells)

    @property
    def rival(self) -> list[str]:
        """What benchmarks and cards are made from besides, where the screen asks for features."""
        return [] if self.made.settings.features is None else [self.stages["features"]]

    def refuse_changed(self) -> None:
        """Make sure that what is done was done with these settings, so that a report of it says what is true.

        Raises:
            RunError: A stage would be done again.
        """
        for stage, made_from in self._all():
            if stage not in self.stages or self.stages[stage] != made_from:
                raise RunError(
                    f"{self.made.out} was made with other settings: the stage '{stage}' would be done again. "
                    "`contrascope report` shows what is done. Give the settings it was done with, or do it again with "
                    "`contrascope run`."
                )

    def _all(self) -> Iterator[tuple[str, str]]:
        settings = self.made.settings
        yield "store", self.store
        yield f"run {settings.model}", self._shown_run()
        yield "cells", self.cells
        if settings.features is not None:
            yield "features", self.features
        for name, options in judging.questions(settings).items():
            yield f"benchmark {name}", self.answer(name, options)
        yield "figures", self.figures

    def _shown_run(self) -> str:
        """The run, also where the one that it started from is gone: that is not needed to show this one."""
        settings, own = self.made.settings, f"run {self.made.settings.model}"
        try:
            return self.run(parent_run(self.made))[1]
        except RunError:
            asked = training_settings(len(self.made.store), **settings.training)
            return self.stages[own] if own in self.stages and asked == self.made.run.settings else ""
