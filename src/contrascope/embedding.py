"""Every cell in the model's spaces, as AnnData; and beside them two baselines on the same cells.

    obs                 the store's cell table, and the part (train, validation, test) of each cell
    obsm["background"]  (N, Z) posterior means of q(z|x)
    obsm["salient"]     (N, S) posterior means of q(s|x), if the model has that space
    obsm["untrained"]   the same encoders with random weights
    obsm["intensity"]   mean, standard deviation and percentiles of each channel

Simple statistics and random encoders are known to do well on such benchmarks; a claim that leaves them out
is no claim.
"""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrascope import vocabulary as v
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.progress import track
from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import in_order
from contrascope.sampling.transforms import Transform
from contrascope.store.store import CropStore
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

BATCH_SIZE = 512
_PERCENTILES = (1, 25, 50, 75, 99)
_UNTRAINED_SEED = 1_000_003
"""Not a seed that a user is likely to train with: the baseline must not be the model's own first weights."""


def embed(store: CropStore, run: Run, *, baselines: bool = True) -> ad.AnnData:
    """Posterior means of every cell of a store.

    Args:
        store: The cells.
        run: A model trained on this store, or one of the same channels and crop size.
        baselines: Also embed the cells by an untrained model and by intensity statistics.

    Returns:
        N cells with ``obsm`` as above; no X.

    Raises:
        RunError: The store has other channels or crops than the run.
        StoreError: The run normalised pixels by batch, and the store has batches it was not trained on.
    """
    run.check_fits(store)
    transform = run.transform.bound(store)
    embedders = {"": _posterior_means(run, run.model, transform)}
    if baselines:
        embedders[v.UNTRAINED] = _posterior_means(run, run.untrained(seed=_UNTRAINED_SEED), transform)
        embedders[v.INTENSITY] = lambda batch: {v.INTENSITY: intensity_statistics(batch.images)}
    spaces: dict[str, np.ndarray] = {}
    parts = track(
        batches(store, in_order(np.arange(len(store)), BATCH_SIZE)), "Embedding", -(-len(store) // BATCH_SIZE)
    )
    with torch.inference_mode():
        for batch in parts:
            rows = batch.rows.numpy()
            for label, embedder in embedders.items():
                for name, values in _named(label, embedder(batch)).items():
                    if name not in spaces:
                        spaces[name] = np.empty((len(store), values.shape[1]), dtype=np.float32)
                    spaces[name][rows] = values.numpy()
    cells = ad.AnnData(obs=_observations(store, run), obsm=spaces)
    cells.uns["contrascope"] = {
        "screen": store.name,
        "channels": store.channels,
        "model": run.model_name,
        "run": run.fingerprint,
        "store": store.fingerprint,
    }
    return cells


def intensity_statistics(pixels: Tensor) -> Tensor:
    """(B, 7 C) mean, standard deviation and the 1, 25, 50, 75 and 99 percentiles of each channel of (B, C, H, W)."""
    flat = pixels.float().flatten(2)
    ranks = [round(p / 100 * (flat.shape[2] - 1)) for p in _PERCENTILES]
    percentiles = flat.sort(dim=2).values[:, :, ranks]
    moments = torch.stack([flat.mean(2), flat.std(2)], dim=2)
    return torch.cat([moments, percentiles], dim=2).flatten(1)


def _posterior_means(run: Run, model: ContrastiveVAE, transform: Transform) -> Callable[[Batch], dict[str, Tensor]]:
    def means(batch: Batch) -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=run.settings.precision == "bf16"):
            q = model.encode(transform.batch(batch).images)
        return {name: normal.mean for name, normal in q._asdict().items() if normal is not None}

    return means


def _named(label: str, spaces: dict[str, Tensor]) -> dict[str, Tensor]:
    """Spaces under their own names, or all of them side by side under the baseline's."""
    return {label: torch.cat(list(spaces.values()), dim=1)} if label else spaces


def _observations(store: CropStore, run: Run) -> pd.DataFrame:
    obs = store.cells.to_pandas().set_index(v.CELL_ID, drop=False)
    obs.index = obs.index.astype(str)
    obs.index.name = None
    if run.facts["store"]["fingerprint"] == store.fingerprint:
        obs[v.SPLIT] = run.split().to_numpy()
    for name in (v.PLATE, v.WELL, v.TILE, v.BATCH, v.GUIDE, v.PERTURBATION, v.STAGE, v.SPLIT):
        if name in obs:
            obs[name] = obs[name].astype("category")
    return obs
