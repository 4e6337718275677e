"""What is done in a folder: each stage by a fingerprint of all it was made from, in ``stages.json``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from contrascope.config import fingerprint
from contrascope.errors import StoreError
from contrascope.litter import is_bare
from contrascope.store.files import read_json, write_json

FILE = "stages.json"
INPUTS = "inputs"


class Stages:
    """The stages of one folder, on disk as soon as they are known.

    Args:
        folder: Where the stages leave their outcomes; made if it is not there.
        inputs: What all of them begin with.
        name: What these inputs are called, for the message.

    Raises:
        StoreError: The folder holds something else, was made from other inputs, or cannot be made.
    """

    def __init__(self, folder: Path, *, inputs: str, name: str):
        self._path = folder / FILE
        self._made: dict[str, str] = read_json(self._path) if self._path.is_file() else {}
        if not self._made and folder.exists() and not is_bare(folder):
            raise StoreError(f"{folder} exists and holds something that is not ours. Choose another folder.")
        if self._made.setdefault(INPUTS, inputs) != inputs:
            raise StoreError(
                f"{folder} was made from other inputs: another cell table, or other tiles, than those of '{name}'. "
                "Choose another folder, or delete this one."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}. Choose another folder.") from None
        self._save()

    def __getitem__(self, stage: str) -> str:
        return self._made[stage]

    def __contains__(self, stage: str) -> bool:
        return stage in self._made

    def others(self, stage: str) -> dict[str, str]:
        """Fingerprints of all stages but one."""
        return {name: made_from for name, made_from in self._made.items() if name != stage}

    def is_done(self, stage: str, made_from: str, *outcomes: Path) -> bool:
        """Whether a stage was made from this, and its outcomes are there."""
        return self._made.get(stage) == made_from and all(path.exists() for path in outcomes)

    def set(self, stage: str, made_from: str) -> None:
        """A stage is made from this; said before the work where what is unfinished is gone on with."""
        self._made[stage] = made_from
        self._save()

    def keep(self, kind: str, names: Iterable[str]) -> None:
        """Forget the stages whose name begins with ``kind``, but for these."""
        wanted = {f"{kind}{name}" for name in names}
        self._made = {stage: m for stage, m in self._made.items() if not stage.startswith(kind) or stage in wanted}

    def forget(self, stage: str) -> None:
        """Have a stage done again, whatever it was made from."""
        self._made.pop(stage, None)

    def _save(self) -> None:
        if not self._path.is_file() or read_json(self._path) != self._made:
            write_json(self._path, self._made)


def key(*made_from: object) -> str:
    """The fingerprint of a stage made from these by this version of the package."""
    return fingerprint([version("contrascope"), *made_from])
