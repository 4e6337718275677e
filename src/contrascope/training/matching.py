"""What controls have in the salient space, given the others: measured when a training is over, kept with the run."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from contrascope.errors import RunError
from contrascope.models.inference import rounded
from contrascope.models.matched import MOST_CONTROLS, fitted_controls, matched_in
from contrascope.models.precision import in_bfloat16
from contrascope.models.views import posterior_of_views
from contrascope.sampling.loader import batches
from contrascope.sampling.samplers import in_order
from contrascope.store.files import appearing
from contrascope.store.store import CropStore
from contrascope.training.files import MATCHED
from contrascope.training.run import VIEWS, Run

_BATCH_SIZE = 128


def keep_matched(run: Run, store: CropStore, rows: np.ndarray) -> None:
    """Fit what controls have, and write it into the run's folder.

    Args:
        run: With its weights written.
        store: The cells it was trained on.
        rows: Cells it was trained on; controls among them are looked at, at most ``MOST_CONTROLS``.
    """
    controls = rows[store.labels[rows] == 0]
    chosen = np.sort(np.random.default_rng(run.settings.seed).permutation(controls)[:MOST_CONTROLS])
    found = fitted_controls(*_codes(run, store, chosen), torch.from_numpy(chosen))
    with appearing(run.path / MATCHED) as beside:
        values = {name: value.contiguous() for name, value in found.state_dict().items()}
        save_file(values, beside, metadata={VIEWS: str(run.settings.views)})


def is_kept(run: Run) -> bool:
    """Whether the run has what controls have, seen from as many sides as its settings say."""
    try:
        return run.matched is not None
    except RunError:
        return False


@torch.inference_mode()
def _codes(run: Run, store: CropStore, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Codes of the spaces that a cell is matched in, and of the salient space."""
    transform, bf16 = run.transform.bound(store), in_bfloat16(run.settings.precision, "cpu")
    model, others, salient = rounded(run.model) if bf16 else run.model, [], []
    for batch in batches(store, in_order(rows, _BATCH_SIZE)):
        images = transform.batch(batch).images
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            q = posterior_of_views(model, images, run.settings.views)
        assert q.salient is not None
        others.append(matched_in(q))
        salient.append(q.salient.mean)
    return torch.cat(others), torch.cat(salient)
