"""A model made ready for a CPU gives what the model gives under autocast, but for rounding."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from contrascope.config import training_settings
from contrascope.models import inference
from contrascope.models.contrastive import ContrastiveVAE, in_channels_last
from contrascope.models.inference import rounded
from contrascope.models.variants import build_model


def model(architecture: str) -> ContrastiveVAE:
    settings = training_settings(1000, image_size=32, architecture=architecture)
    made = build_model("mcvae", settings, channels=3, perturbations=5, seed=0)
    with torch.no_grad():  # an untrained head is so small that nothing of the network would be seen
        for encoder in made.encoders.values():
            encoder.head.weight.mul_(100)
    return in_channels_last(made.eval())


@pytest.mark.parametrize("architecture", ["conv5", "residual"])
@pytest.mark.parametrize("can_fuse", [True, False])
def test_it_is_as_close_to_float32_as_autocast_is(
    architecture: str, can_fuse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_can_fuse", lambda: can_fuse)
    plain = model(architecture)
    ready, control = rounded(plain), torch.tensor([True, False] * 4)
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact, images = plain.encode(x), plain.reconstruct(x, control=control)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            usual, usual_images = plain.encode(x), plain.reconstruct(x, control=control)
            found, found_images = ready.encode(x), ready.reconstruct(x, control=control)
    for a, b, c in zip(exact[:2], usual[:2], found[:2], strict=True):
        assert a is not None
        assert b is not None
        assert c is not None
        for true, by_autocast, by_us in zip(a, b, c, strict=True):
            assert by_us.dtype == torch.float32
            assert (by_us - true).square().mean() <= 1.2 * (by_autocast - true).square().mean()
    assert (found_images - images).abs().max() <= 1.5 * (usual_images - images).abs().max()
    if not can_fuse:
        assert torch.equal(found_images, usual_images)


def test_the_model_itself_is_left_as_it_is() -> None:
    plain = model("conv5")
    before = {name: w.clone() for name, w in plain.state_dict().items()}
    rounded(plain)
    assert all(torch.equal(w, before[name]) for name, w in plain.state_dict().items())
    assert {w.dtype for w in plain.parameters()} == {torch.float32}


def test_a_cell_is_the_same_in_a_batch_of_another_size_a_copy_or_a_model_made_ready_anew() -> None:
    plain = model("conv5")
    x = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=torch.channels_last
    )
    ready = rounded(plain)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        first, all_of_them = ready.encode(x[:5]), ready.encode(x)
        copied, anew = deepcopy(ready).encode(x), rounded(plain).encode(x)
    assert torch.equal(first.background.mean, all_of_them.background.mean[:5])
    assert torch.equal(copied.background.mean, all_of_them.background.mean)
    assert torch.equal(anew.background.mean, all_of_them.background.mean)
