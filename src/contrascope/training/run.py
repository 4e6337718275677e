"""A run: the folder of one training, and what can be done with it.

    run.json             model, settings, transform, channels, perturbations, store, versions, outcome; last
    weights.safetensors  the weights of the best validation loss
    matched.safetensors  what controls have in the salient space, given the others; with ``salient_reference: matched``
    metrics.csv          step, name, value of everything that was logged
    tensorboard/         the same for TensorBoard
    split.parquet        the part of each cell: train, validation or test

``fit.py`` says how it is made. Nothing in it is a pickle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import TrainingSettings, validated
from contrascope.errors import RunError, StoreError
from contrascope.models.contrastive import ContrastiveVAE, in_channels_last
from contrascope.models.matched import MatchedControls
from contrascope.models.variants import build_model
from contrascope.sampling.technical import Technical
from contrascope.sampling.transforms import Transform
from contrascope.shown import html_of
from contrascope.store.files import read_json
from contrascope.store.store import CropStore
from contrascope.training.files import FACTS, MATCHED, METRICS, SPLIT, WEIGHTS

FORMAT = 1
"""Of ``run.json``."""
CELLS_TRAINED_ON = "cells_trained_on"
"""Of each perturbation, in ``run.json`` and among prior means."""
VIEWS = "views"
"""Key in ``matched.safetensors``: from how many sides the controls were seen."""
_SAID = {"model", "settings", "channels", "crop_size", "perturbations", "store", "fingerprint", "versions"}
_SAID |= {"transform", "technical", "outcome"}
OLDER_RUNS_HAVE = {"beta": 1.0, "encoders": "apart", "views": 1, "salient_reference": "origin"}
"""Settings of runs that do not say them: what all runs had before these could be set."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training.

    Attributes:
        path: Its folder.
        facts: What ``run.json`` holds.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def model_name(self) -> str:
        """Name of the model in the registry."""
        return self.facts["model"]

    @cached_property
    def settings(self) -> TrainingSettings:
        """Settings it was trained with, and is embedded with."""
        return validated(TrainingSettings, OLDER_RUNS_HAVE | self.facts["settings"], where=str(self.path / FACTS))

    @property
    def perturbations(self) -> list[str]:
        """Names of perturbations 1 ... K, in the order of the priors' means."""
        return self.facts["perturbations"]

    @property
    def never_trained_on(self) -> list[str]:
        """Perturbations without a cell to train on, of which prior means say nothing; none for runs that do not say."""
        counts = self.facts.get(CELLS_TRAINED_ON, [1] * len(self.perturbations))
        return [name for name, count in zip(self.perturbations, counts, strict=True) if not count]

    @property
    def fingerprint(self) -> str:
        """Changes with anything the run was made from."""
        return self.facts["fingerprint"]

    @cached_property
    def transform(self) -> Transform:
        """From raw pixels to the model's range."""
        return Transform(**self.facts["transform"])

    @cached_property
    def technical(self) -> Technical:
        """How the cells it was trained on were imaged: no columns, where the training did not ask."""
        columns = self.facts["technical"]  # JSON has them by the alphabet, the model as they were asked for
        return Technical({name: columns[name] for name in self.settings.technical if name in columns})

    @cached_property
    def model(self) -> ContrastiveVAE:
        """The trained model, evaluating.

        Raises:
            RunError: Its weights are missing or damaged.
        """
        model = self.untrained(seed=self.settings.seed)
        with self._readable("weights", "Delete the run and train again"):
            model.load_state_dict(load_file(self.path / WEIGHTS))
        return model.eval()

    @property
    def is_matched(self) -> bool:
        """Whether cells of its salient space are compared with controls of the same background."""
        return self.model.has_salient and self.settings.salient_reference == "matched"

    @cached_property
    def matched(self) -> MatchedControls | None:
        """What controls have in the salient space, given the others; None where the run does not ask.

        Raises:
            RunError: Its file is missing or damaged, or of controls seen from other sides than the settings say.
        """
        if not self.is_matched:
            return None
        with self._readable("matched controls", "The command that trained it, given again, looks at them anew"):
            with safe_open(self.path / MATCHED, "pt") as file:
                views = (file.metadata() or {}).get(VIEWS)
            found = MatchedControls(**load_file(self.path / MATCHED))
        if views != str(self.settings.views):
            raise RunError(
                f"The controls kept in the run {self.path} were seen from {views} sides, and its settings say "
                f"{self.settings.views}. The command that trained it, given again, looks at them anew."
            )
        return found

    @contextmanager
    def _readable(self, what: str, remedy: str) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError, RuntimeError, TypeError, pl.exceptions.PolarsError) as error:
            raise RunError(
                f"The {what} of the run {self.path} cannot be read: {' '.join(str(error).split())[:300]}. {remedy}."
            ) from None

    def untrained(self, *, seed: int) -> ContrastiveVAE:
        """The same model with random weights: the baseline that a trained one must beat."""
        model = build_model(
            self.model_name,
            self.settings,
            channels=len(self.facts["channels"]),
            perturbations=len(self.perturbations),
            levels=lambda: self.technical.levels,
            seed=seed,
        )
        return in_channels_last(model.eval())

    def metrics(self) -> pl.DataFrame:
        """Columns ``step name value``: everything that was logged.

        Raises:
            RunError: The file is missing or damaged.
        """
        with self._readable("metrics", "The run can be used without them; copy it with all of its files to have them"):
            return pl.read_csv(self.path / METRICS, glob=False)

    def split(self) -> pl.Series:
        """Part of each cell of the store, as text.

        Raises:
            RunError: The file is missing or damaged.
        """
        with self._readable("split", "Copy the run with all of its files, or delete it and train again"):
            return pl.read_parquet(self.path / SPLIT, glob=False)[v.SPLIT]

    def scan_split(self) -> pl.LazyFrame:
        """``split`` as a table that is read as it is asked for.

        Raises:
            RunError: The file is missing or damaged, or of another store.
        """
        with self._readable("split", "Copy the run with all of its files, or delete it and train again"):
            table = pl.scan_parquet(self.path / SPLIT, glob=False).select(v.SPLIT)
            found = int(table.select(pl.len()).collect().item())
        if found != (cells := self.facts["store"]["cells"]):
            raise RunError(
                f"The split of the run {self.path} is of {found:,} cells, and it was trained on a store of {cells:,}. "
                f"Copy the run with all of its files, or delete it and train again."
            )
        return table

    def check_fits(self, store: CropStore) -> None:
        """Make sure a store has what the run was trained on.

        Raises:
            RunError: Other channels, another crop size or another type of pixels.
        """
        dtype = store.dtype.name
        for what, ours, theirs in (
            ("channels", self.facts["channels"], store.channels),
            ("crops of", self.facts["crop_size"], list(store.crop_size)),
            ("pixels of type", self.facts.get("dtype", dtype), dtype),  # older runs do not tell
        ):
            if ours != theirs:
                raise RunError(
                    f"The store {store.path} has {what} {theirs}, but the run {self.path} was trained on {ours}. "
                    f"Extract the crops again with the run's settings, or train on this store."
                )

    def _checked(self, store: CropStore, rows: np.ndarray) -> np.ndarray:
        """The rows as torch takes them, once they are known to be there."""
        self.check_fits(store)
        asked = np.asarray(rows)
        whole = asked.ndim == 1 and (asked.dtype.kind in "iu" or not len(asked))
        if not whole or not len(asked) or asked.min() < 0 or asked.max() >= len(store):
            raise RunError(
                f"Rows of {store.path} were to be an array of one or more whole numbers from 0 to {len(store) - 1:,}; "
                f"{' '.join(np.array2string(asked, threshold=6).split())} was given."
            )
        return asked.astype(np.int64)

    def images(self, store: CropStore, rows: np.ndarray) -> np.ndarray:
        """(B, C, H, W) cells as the model sees them.

        Raises:
            RunError: The store has other channels or crops than the run, or no such rows.
        """
        return self._seen(store, self._checked(store, rows)).numpy()

    def reconstruct(self, store: CropStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells as the model sees them, and as it decodes them from their posterior means.

        Args:
            store: The cells.
            rows: (B,) rows; controls are decoded without salient part.

        Returns:
            Images and reconstructions, (B, C, H, W) float32 each, in the model's range.

        Raises:
            RunError: The store has other channels or crops than the run, or no such rows.
        """
        rows = self._checked(store, rows)
        return self._decoded(store, rows, without_salient=store.labels[rows] == 0)

    def counterfactual(
        self, store: CropStore, rows: np.ndarray, *, background_effect: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same cells decoded as they are, and without their salient part: what they would have looked like.

        What a perturbation shifts in the background space stays in the second image, unless it is said and taken off as
        well: the cell then stays itself, in all that sets it apart from others of its perturbation, and is moved to
        where it would be among controls. In the model that is z - E[z | m] + E[z | control], and s = 0.

        Args:
            store: The cells.
            rows: (B,) rows. For controls both images are alike, where nothing is taken off the background.
            background_effect: (B, Z), or (Z,) for all: the mean of the cell's perturbation in the background space less
                that of the controls: rows of ``centred(averaged(cells))`` (``contrascope.profiles``).

        Returns:
            Two (B, C, H, W) float32 in the model's range; their difference is what the model lays to the perturbation.

        Raises:
            RunError: The model has no salient space, or an effect of another size than its background space; or the
                store has other channels or crops than the run, or no such rows.
        """
        if not self.model.has_salient:
            raise RunError(f"A {self.model_name} has no salient space. Train an mcvae, or another with that space.")
        rows = self._checked(store, rows)
        effect = np.zeros(self.model.sizes[v.BACKGROUND]) if background_effect is None else background_effect
        if np.shape(effect) not in ((size := self.model.sizes[v.BACKGROUND],), (len(rows), size)):
            raise RunError(
                f"The effect in the background space is {np.shape(effect)}; {(size,)}, or {(len(rows), size)} for the "
                f"{len(rows)} cells, was needed. Take rows of the background space "
                f"of centred(averaged(cells)), of cells that this run embedded."
            )
        _, actual = self.reconstruct(store, rows)
        _, without = self._decoded(store, rows, without_salient=np.ones(len(rows), dtype=bool), effect=effect)
        return actual, without

    def traverse(
        self, store: CropStore, row: int, dim: int, values: np.ndarray, *, space: str = v.SALIENT
    ) -> np.ndarray:
        """One cell decoded with one latent dimension set to one value after the other.

        Args:
            store: The cells.
            row: The cell; all its other dimensions stay at their posterior mean, also if it is a control.
            dim: Which dimension of the space.
            values: (V,) what it is set to, or one number, in latent units: those of the encoder, whatever the
                embedding's salient space is measured from (``salient_reference``).
            space: ``background``, ``salient`` or ``technical``.

        Returns:
            (V, C, H, W) float32 in the model's range.

        Raises:
            RunError: The model has no such space, or the space no such dimension; or the store has other channels or
                crops than the run, or no such row.
        """
        sizes = self.model.sizes
        if dim not in range(sizes.get(space, 0)):
            spaces = " and ".join(f"{name} with dimensions 0 to {size - 1}" for name, size in sizes.items())
            raise RunError(f"The run {self.path} has no dimension {dim} of '{space}'. It has {spaces}.")
        self._checked(store, np.array([row]))
        values = np.atleast_1d(values)
        with torch.inference_mode():
            q = self.model.encode(self._seen(store, np.array([row])))
            means = {name: normal.mean.repeat(len(values), 1) for name, normal in q._asdict().items() if normal}
            means[space][:, dim] = torch.as_tensor(values, dtype=torch.float32)
            levels = self._levels(store, np.full(len(values), row))
            latent = (means[v.BACKGROUND], means.get(v.SALIENT), means.get(v.TECHNICAL))
            return self.model.decode(*latent, levels=levels).numpy()

    def prior_means(self) -> ad.AnnData:
        """Where the model expects each perturbation: mu[m] of each space that has them.

        They are in the encoder's own units, and no effects: where the codes of all cells lie away from the origin, all
        means do, and they lag behind the mean codes of their cells. For what a perturbation does, take profiles of
        embedded cells. An embedding with ``salient_reference: matched`` has what controls of the same background have
        taken off, and so lies elsewhere again.

        Returns:
            K perturbations, without control, with ``obsm["background"]`` (K, Z) and ``obsm["salient"]`` (K, S), as far
            as the model's priors know perturbations. ``obs["cells_trained_on"]``: without any, a mean is still where it
            began, at 0 or where ``start_from`` had it (older runs do not say). ``uns["control"]``: the mean of control
            in each of these spaces, (Z,) and (S,), which is 0 unless ``control_prior`` was ``learned``.

        Raises:
            RunError: The model's priors know none, as those of ``vae`` and ``cvae``.
        """
        m = torch.arange(len(self.perturbations) + 1)
        with torch.inference_mode():
            means = {
                name: prior(m).numpy()
                for name, prior in self.model.priors.items()
                if name != v.TECHNICAL and list(prior.parameters())
            }
        if not means:
            raise RunError(f"The priors of a {self.model_name} know no perturbations. Train an mcvae for such means.")
        obs = pd.DataFrame({v.PERTURBATION: self.perturbations}, index=pd.Index(self.perturbations, dtype=object))
        if CELLS_TRAINED_ON in self.facts:
            obs[CELLS_TRAINED_ON] = self.facts[CELLS_TRAINED_ON]
        control = {name: mean[0] for name, mean in means.items()}
        return ad.AnnData(obs=obs, obsm={name: mean[1:] for name, mean in means.items()}, uns={"control": control})

    def _seen(self, store: CropStore, rows: np.ndarray) -> torch.Tensor:
        transform = self.transform.bound(store)
        return transform(torch.from_numpy(store.read(rows)), torch.from_numpy(np.array(rows)))

    def _levels(self, store: CropStore, rows: np.ndarray) -> torch.Tensor | None:
        """(B, F) levels of cells, for a decoder that is told them."""
        if self.model.condition is None:
            return None
        return self.technical.bound(store)(torch.from_numpy(np.array(rows)))

    def _decoded(
        self, store: CropStore, rows: np.ndarray, *, without_salient: np.ndarray, effect: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        shift = None if effect is None else torch.as_tensor(np.asarray(effect), dtype=torch.float32)
        with torch.inference_mode():
            images = self._seen(store, rows)
            levels = self._levels(store, rows)
            control = torch.from_numpy(without_salient)
            decoded = self.model.reconstruct(images, control=control, levels=levels, shift=shift)
        return images.numpy(), decoded.numpy()

    def __repr__(self) -> str:
        outcome, size = self.facts["outcome"], self.settings.batch_size
        taken = outcome.get("batch_size", size)
        fewer = f" of {taken:,} cells, for there are too few for {size:,}" if taken < size else ""
        return (
            f"Run of {self.model_name} in {self.path}: {outcome['steps']:,} steps{fewer}, best validation loss "
            f"{outcome['best_validation_loss']:.1f} nats, {len(self.perturbations):,} perturbations"
            + (f", {len(unseen):,} of them without a cell to train on" if (unseen := self.never_trained_on) else "")
        )

    def _repr_html_(self) -> str:
        return html_of(self, "run")


def open_run(path: str | Path) -> Run:
    """A finished run.

    Raises:
        RunError: There is none, it was not finished, or its format is not ours.
        SettingsError: A URL.
    """
    path = local_path(path).absolute()  # a notebook may change its folder
    if not (path / FACTS).is_file():
        raise RunError(f"{path} holds no finished run. Train one with `contrascope train STORE --out {path}`.")
    try:
        facts = read_json(path / FACTS)
    except StoreError:
        raise RunError(
            f"{path / FACTS} is damaged. Copy the run with all of its files, or delete it and train again."
        ) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise RunError(f"{path / FACTS} is no run that this version can read. Choose another folder, or train again.")
    if lacking := sorted(_SAID - facts.keys()):
        raise RunError(
            f"{path / FACTS} does not say {', '.join(lacking)}: it was changed after it was written. Copy the run with "
            f"all of its files, or delete it and train again."
        )
    return Run(path, facts)
