"""What is computed of each cell: its place in the model's spaces, in two baselines, and how sure the model is.

    background                 (B, Z) posterior means of q(z|x)
    salient                    (B, S) likewise of q(s|x), if the model has that space; with ``salient_reference:
                               matched`` less what controls of the same background have
    technical                  (B, T) posterior means of q(t|x)
    untrained                  the same encoders with random weights, side by side
    intensity                  mean, standard deviation and percentiles of each channel
    background_sd, ...         posterior standard deviations, exp(log-variance / 2)
    reconstruction_error       (1 / C H W) sum over pixels of (x - x^)^2

Means and variances are averaged over ``views`` of each cell, those of the untrained model too. x is a cell in the
model's range, about -1 ... 1 and after resizing, and x^ is decoded from its posterior means as it lies, controls
without salient part. All pixels count alike, whatever the training's ``focus`` was.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from contrascope import vocabulary as v
from contrascope.models.contrastive import ContrastiveVAE, Normal, Posterior
from contrascope.models.inference import rounded
from contrascope.models.matched import matched_in
from contrascope.models.precision import device_type, in_bfloat16
from contrascope.models.views import posterior_of_views
from contrascope.sampling.slices import CELLS_AT_ONCE, alone
from contrascope.store.store import CropStore
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

_STATISTICS = 2 + len(v.INTENSITY_PERCENTILES)
_UNTRAINED_SEED = 1_000_003
"""Not a seed that a user is likely to train with: the baseline must not be the model's own first weights."""


class CellEncoder(nn.Module):
    """From raw pixels to all that is wanted of each cell.

    Args:
        run: A model trained on this store, or one of the same channels and crop size.
        store: The cells.
        baselines: Also the untrained model and intensity statistics.
        uncertainty: Also posterior standard deviations.
        error: Also the reconstruction error.

    Raises:
        RunError: The store has other channels or crops than the run.
        StoreError: The run normalised pixels by batch, and the store has batches it was not trained on.
    """

    def __init__(self, run: Run, store: CropStore, *, baselines: bool, uncertainty: bool, error: bool):
        super().__init__()
        run.check_fits(store)
        self.transform = run.transform.bound(store)
        # Encoders are never told how a cell was imaged, so that only what decodes may find a batch unknown.
        told = error and run.model.condition is not None
        self.technical = run.technical.bound(store) if told else None
        self.bf16 = in_bfloat16(run.settings.precision, device_type())
        # A copy: the run's own model stays where it is and as it is.
        self.model = rounded(run.model) if self._rounds else deepcopy(run.model)
        self.views, self.matched = run.settings.views, deepcopy(run.matched)
        self.own_store = store.fingerprint == run.facts["store"]["fingerprint"]
        self.baselines, self.uncertainty, self.error = baselines, uncertainty, error
        self.untrained: ContrastiveVAE | None = None
        if baselines:
            untrained = run.untrained(seed=_UNTRAINED_SEED)
            self.untrained = rounded(untrained) if self._rounds else untrained
        self.channels = len(store.channels)
        self._threads: ThreadPoolExecutor | None = None

    @property
    def _rounds(self) -> bool:
        return self.bf16 and device_type() == "cpu"

    @property
    def computed_in(self) -> Literal["bf16", "fp32"]:
        """How this machine rounds what it computes."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def sizes(self) -> dict[str, int]:
        """Name of each matrix -> its columns."""
        sizes = dict(self.model.sizes)
        if self.uncertainty:
            sizes |= {v.DEVIATIONS[name]: size for name, size in self.model.sizes.items()}
        if self.baselines:
            sizes |= {v.UNTRAINED: sum(self.model.sizes.values()), v.INTENSITY: _STATISTICS * self.channels}
        return sizes

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Each matrix (B, F) float32, and the error (B,), of a batch of raw pixels."""
        return self.begin(batch)()

    def begin(self, batch: Batch) -> Callable[[], dict[str, Tensor]]:
        """The same in two steps: begin a batch, and wait for what comes of it.

        On a CPU several batches may be begun, so that threads have work while the first is put together.
        """
        if batch.images.device.type != "cpu":
            return partial(self._of, batch)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(torch.get_num_threads(), initializer=alone)
        slices = zip(*(part.split(CELLS_AT_ONCE) for part in batch if part is not None), strict=True)
        parts = [self._threads.submit(self._of, Batch(*few)) for few in slices]
        return lambda: _together([part.result() for part in parts])

    def close(self) -> None:
        """Let go of the threads that work on a CPU."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    @torch.inference_mode()
    def _of(self, batch: Batch) -> dict[str, Tensor]:
        images = self.transform.batch(batch).images
        seen = images.to(torch.bfloat16) if self.bf16 else images  # once, not by each encoder
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            q = posterior_of_views(self.model, seen, self.views)
            found = _means(q)
            if self.matched is not None:
                found[v.SALIENT] = self.matched.residual(matched_in(q), found[v.SALIENT], self._rows(batch))
            if self.uncertainty:
                found |= {v.DEVIATIONS[name]: torch.exp(0.5 * n.log_variance) for name, n in _normals(q).items()}
            if self.error:
                levels = None if self.technical is None else self.technical(batch.rows)
                lying = q if self.views == 1 else self.model.encode(seen)
                latent = self._seen_by_the_decoder(lying, control=batch.perturbation == 0)
                decoded = self.model.decode(*latent, levels=levels)
                found[v.RECONSTRUCTION_ERROR] = (images - decoded).square().mean((1, 2, 3))
            if self.untrained is not None:
                untrained = posterior_of_views(self.untrained, seen, self.views)
                found[v.UNTRAINED] = torch.cat(list(_means(untrained).values()), dim=1)
                found[v.INTENSITY] = intensity_statistics(batch.images)
        return found

    def _rows(self, batch: Batch) -> Tensor | None:
        """Rows by which controls that the run was matched on are known again."""
        return batch.rows if self.own_store else None

    def _seen_by_the_decoder(self, q: Posterior, *, control: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        s = None if q.salient is None else torch.where(control[:, None], 0.0, q.salient.mean)
        return q.background.mean, s, None if q.technical is None else q.technical.mean


def intensity_statistics(pixels: Tensor) -> Tensor:
    """(B, 7 C) mean, standard deviation and the 1, 25, 50, 75 and 99 percentiles of each channel of (B, C, H, W)."""
    return torch.cat([_statistics(few) for few in pixels.split(CELLS_AT_ONCE)])  # sorting takes five times the pixels


def _statistics(pixels: Tensor) -> Tensor:
    flat = pixels.float().flatten(2)
    ranks = [round(p / 100 * (flat.shape[2] - 1)) for p in v.INTENSITY_PERCENTILES]
    ordered = flat.sort(dim=2).values
    percentiles = torch.stack([ordered[:, :, rank] for rank in ranks], dim=2)  # a list would be sent to the device
    moments = torch.stack([flat.mean(2), flat.std(2)], dim=2)
    return torch.cat([moments, percentiles], dim=2).flatten(1)


def _together(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _normals(q: Posterior) -> dict[str, Normal]:
    return {name: normal for name, normal in q._asdict().items() if normal is not None}


def _means(q: Posterior) -> dict[str, Tensor]:
    return {name: normal.mean for name, normal in _normals(q).items()}
