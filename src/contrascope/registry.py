"""Names to parts: readers, importers, models, architectures, benchmarks.

A part is named by ``module:attribute`` and imported when it is first asked for, so that a registry costs
nothing to have. Another package adds parts through entry points of the group ``contrascope.<kind>``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from contrascope.errors import SettingsError


class Registry:
    """Parts of one kind by name.

    Args:
        kind: What the parts are, in the plural; also the entry-point group after ``contrascope.``.
        parts: Name to ``module:attribute``.
    """

    def __init__(self, kind: str, parts: dict[str, str]):
        self.kind = kind
        self._own = dict(parts)

    @cached_property
    def _parts(self) -> dict[str, str]:
        outside = {entry.name: entry.value for entry in entry_points(group=f"contrascope.{self.kind}")}
        return outside | self._own

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __getitem__(self, name: str) -> Any:
        """The part of this name.

        Raises:
            SettingsError: No part has this name.
        """
        if name not in self._parts:
            raise SettingsError(f"{self.kind} has no '{name}'. Choose one of: {', '.join(self)}.")
        module, attribute = self._parts[name].split(":")
        return getattr(import_module(module), attribute)

    def add(self, name: str, target: str) -> None:
        """Register ``module:attribute`` under a name, for this process.

        Raises:
            SettingsError: The name is taken by another part.
        """
        if self._parts.get(name, target) != target:
            raise SettingsError(f"{self.kind} already has '{name}' ({self._parts[name]}). Choose another name.")
        self._parts[name] = target


READERS = Registry(
    "readers",
    {
        "tiff": "contrascope.screen.readers.tiff:TiffReader",
        "ome-zarr": "contrascope.screen.readers.ome_zarr:OmeZarrReader",
        "bioio": "contrascope.screen.readers.bioio:BioioReader",
    },
)
IMPORTERS = Registry(
    "importers",
    {
        "arrays": "contrascope.store.importers.arrays:arrays",
        "folder": "contrascope.store.importers.folder:folder",
        "lmdb": "contrascope.store.importers.lmdb:lmdb",
        "scportrait": "contrascope.store.importers.scportrait:scportrait",
    },
)
ARCHITECTURES = Registry(
    "architectures",
    {
        "conv5": "contrascope.models.architectures.conv5:conv5",
        "residual": "contrascope.models.architectures.residual:residual",
    },
)
MODELS = Registry(
    "models",
    {
        "vae": "contrascope.models.variants:vae",
        "cvae": "contrascope.models.variants:cvae",
        "cvae-s": "contrascope.models.variants:cvae_s",
        "cvae-z": "contrascope.models.variants:cvae_z",
        "mcvae": "contrascope.models.variants:mcvae",
        "three-space": "contrascope.models.variants:three_space",
    },
)
BENCHMARKS = Registry(
    "benchmarks",
    {
        "complexes": "contrascope.benchmarks.complexes:complexes",
        "artifacts": "contrascope.benchmarks.artifacts:artifacts",
        "dose": "contrascope.benchmarks.dose:dose",
        "functions": "contrascope.benchmarks.functions:functions",
        "stages": "contrascope.benchmarks.stages:stages",
        "mitosis": "contrascope.benchmarks.mitosis:mitosis",
        "explained": "contrascope.benchmarks.explained:explained",
        "novelty": "contrascope.benchmarks.novelty:novelty",
        "hits": "contrascope.benchmarks.hits:hits",
    },
)
