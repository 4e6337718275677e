"""Models small enough to run hundreds of times a second, and cells for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from contrascope.config import TrainingSettings, training_settings
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.models.variants import build_model
from contrascope.vocabulary import Batch


@pytest.fixture(scope="session")
def small() -> TrainingSettings:
    return training_settings(
        1000, image_size=16, background_size=3, salient_size=2, technical_size=4, precision="fp32", focus="crop"
    )


@pytest.fixture
def model(small: TrainingSettings) -> Callable[..., ContrastiveVAE]:
    """A member of the family by name, for 2 channels and 3 perturbations; weights large enough to matter."""

    def make(name: str = "mcvae", **changes: Any) -> ContrastiveVAE:
        built = build_model(name, small.model_copy(update=changes), channels=2, perturbations=3, levels=lambda: (2, 3))
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for encoder in built.encoders.values():
                encoder.head.weight.normal_(std=0.05, generator=generator)
            for prior in built.priors.values():
                for means in prior.parameters():
                    means.normal_(generator=generator)
        return built

    return make


@pytest.fixture
def batch() -> Batch:
    """Twelve cells, every other one a control."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(12, 2, 16, 16, generator=generator) * 2 - 1
    return Batch(images, torch.tensor([0, 1, 0, 2, 0, 3] * 2), torch.arange(12))


@pytest.fixture
def imaged(batch: Batch) -> Batch:
    """The same cells with two batches, and three places in the field."""
    return batch._replace(technical=torch.stack([torch.arange(12) // 2 % 2, torch.arange(12) % 3], dim=1))
