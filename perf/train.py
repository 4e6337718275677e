"""Cells trained a second: contrascope, and the same model as it was published, side by side.

    python perf/train.py [CELLS]     4,000 cells of 4 x 100 x 100 uint16 unless told, resized to 64 x 64

The baseline is written plainly: float32, channels before rows, an LMDB with a key a cell and a DataFrame of labels
behind a DataLoader with two worker processes, resizing batch by batch, torch.distributions for every density, five
transposed convolutions in the decoder. It has networks of the same sizes, the same batches of 64 controls and 64
perturbed cells, and Adam. They take turns; what contrascope does besides while it trains (augmenting, validating,
logging, saving) counts as its time, and once more with what it does once (looking at pixels, matching controls).
Beside them stands contrascope with `encoders: shared`, whose network is a smaller one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from read import OneByOne, written
from torch import Tensor, distributions, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import contrascope as cs
from contrascope.config import TrainingSettings, training_settings
from contrascope.models.architectures.conv5 import Encoder
from contrascope.sampling.samplers import BalancedBatches

TURNS, EPOCHS = 3, 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Plain(nn.Module):
    """Multi-ContrastiveVAE, written down as in the paper.

    Args:
        settings: Sizes.
        channels: C.
        perturbations: K, without control.
    """

    def __init__(self, settings: TrainingSettings, channels: int, perturbations: int):
        super().__init__()
        z, s = settings.background_size, settings.salient_size
        self.background, self.salient = (Encoder(channels, settings.image_size, size) for size in (z, s))
        self.decoder = decoder(channels, settings.image_size, z + s)
        self.prior_z, self.prior_s = nn.Embedding(perturbations + 1, z), nn.Embedding(perturbations + 1, s)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, m: Tensor) -> Tensor:
        """The loss of a batch."""
        control = m == 0
        q_z, q_s = (posterior(encoder(x)) for encoder in (self.background, self.salient))
        z, s = q_z.rsample(), q_s.rsample()
        decoded = self.decoder(torch.cat([z, s * (~control)[:, None]], dim=1))
        likelihood = distributions.Normal(decoded, self.log_sigma.exp()).log_prob(x).sum((1, 2, 3))
        p_z, p_s = (distributions.Normal(prior(m), 1.0) for prior in (self.prior_z, self.prior_s))
        kl_z, kl_s = (distributions.kl_divergence(q, p).sum(1) for q, p in ((q_z, p_z), (q_s, p_s)))
        leak = 8 * (q_s.mean.square() + q_s.variance).sum(1)
        return (-likelihood + kl_z + torch.where(control, leak, kl_s)).mean()


def decoder(channels: int, size: int, latent: int) -> nn.Sequential:
    """The encoder's mirror, of transposed convolutions alone; the side of the images is a multiple of 8."""
    small, widths, strides = size // 8, (64, 64, 64, 32, 32, channels), (2, 1, 2, 1, 2)
    layers: list[nn.Module] = [nn.Linear(latent, 64 * small**2), nn.Unflatten(1, (64, small, small))]
    for before, after, stride in zip(widths, widths[1:], strides, strict=False):
        layers += [nn.GELU(), nn.ConvTranspose2d(before, after, 3, stride, padding=1, output_padding=stride - 1)]
    return nn.Sequential(*layers, nn.Tanh())


def posterior(output: Tensor) -> distributions.Normal:
    """The two heads of an encoder."""
    mean, log_variance = output.chunk(2, dim=1)
    return distributions.Normal(mean, torch.exp(0.5 * log_variance.clamp_min(-20)))


def plainly(store: cs.CropStore, environment: Path, settings: TrainingSettings) -> float:
    """Cells a second of the baseline."""
    sampler = BalancedBatches(store.labels, np.arange(len(store)), batch_size=settings.batch_size, seed=0)
    dataset = OneByOne(environment, pd.DataFrame({"label": store.labels}), np.float32)
    model = Plain(settings, len(store.channels), len(store.perturbations)).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    began, cells = time.perf_counter(), 0
    for epoch in range(EPOCHS):
        for images, m in DataLoader(dataset, batch_sampler=Batches(sampler, epoch), num_workers=2):
            size = (settings.image_size, settings.image_size)
            x = F.interpolate(images.to(DEVICE), size, mode="bilinear", antialias=True, align_corners=False)
            loss = model((torch.asinh(x) - 7) / 7, m.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cells += len(m)
    return cells / (time.perf_counter() - began)


class Batches:
    """The rows of an epoch, as a DataLoader wants them."""

    def __init__(self, sampler: BalancedBatches, epoch: int):
        self.sampler, self.epoch = sampler, epoch

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[int]]:
        return (rows.tolist() for rows in self.sampler.epoch(self.epoch))


def ours(store: cs.CropStore, out: Path, encoders: str) -> tuple[float, float]:
    """Cells a second of contrascope: from the call to the run that can be used, and while it trains."""
    began = time.perf_counter()
    outcome = cs.fit(store, out=out, encoders=encoders, epochs=EPOCHS, batch_size=128).facts["outcome"]
    return outcome["steps"] * 128 / (time.perf_counter() - began), outcome["cells_per_second"]


def main() -> None:
    """Take turns and print medians."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    settings = training_settings(cells, batch_size=128)
    with tempfile.TemporaryDirectory() as name:
        store, environment = written(Path(name), cells)
        rates = np.array(
            [
                (
                    *ours(store, Path(name) / f"apart{i}", "apart"),
                    *ours(store, Path(name) / f"shared{i}", "shared"),
                    plainly(store, environment, settings),
                )
                for i in range(TURNS)
            ]
        )
    fast, training, fast_shared, shared, plain = np.median(rates, axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{cells:,} cells, {EPOCHS} epochs, medians of {TURNS} turns, {torch.get_num_threads()} threads, {DEVICE}")
    print(f"  contrascope {training:7,.0f} cells/s while it trains, validations, logs and files included")
    print(f"              {fast:7,.0f} cells/s with what is done once: looking at pixels and matching controls")
    print(f"  as published {plain:6,.0f} cells/s, so {training / plain:.1f} and {fast / plain:.1f} times as fast")
    more, once_more = shared / plain, fast_shared / plain
    print("  with one encoder for both spaces, which is a smaller network:")
    print(f"  contrascope {shared:7,.0f} and {fast_shared:,.0f} cells/s, {more:.1f} and {once_more:.1f} times as fast")
    print(f"  peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
