"""GELU is what it is, whatever the layout."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import norm

from contrascope.models.architectures.gelu import Gelu, gelu

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def some_images(layout: torch.memory_format, dtype: torch.dtype) -> torch.Tensor:
    images = 3 * torch.randn(3, 5, 7, 6, generator=torch.Generator().manual_seed(0))
    return images.to(dtype).contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_and_its_derivative_follow_the_normal_distribution(layout: torch.memory_format, dtype: torch.dtype) -> None:
    x = some_images(layout, dtype)
    made = Gelu()(x)
    made.sum().backward()
    at = x.detach().double().numpy()
    value, slope = torch.from_numpy(at * norm.cdf(at)), torch.from_numpy(norm.cdf(at) + at * norm.pdf(at))
    near = {"rtol": 0.01, "atol": 1e-3} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(made.detach().double(), value, **near)
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), slope, **near)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_stays(layout: torch.memory_format) -> None:
    x = some_images(layout, torch.float32)
    assert gelu(x).is_contiguous(memory_format=layout)


def test_what_is_no_image_may_pass_too() -> None:
    x = torch.linspace(-2, 2, 9)
    torch.testing.assert_close(gelu(x), torch.nn.functional.gelu(x))
