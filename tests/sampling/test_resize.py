"""Resizing and arcsinh give what torch gives by its own operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contrascope.sampling.resize import arcsinh, resized


@given(st.integers(1, 3), st.integers(1, 4), st.integers(9, 70), st.integers(9, 70), st.sampled_from([8, 16, 32, 64]))
@settings(max_examples=60, deadline=None)
def test_resizing_is_torchs_for_any_shape(B: int, C: int, H: int, W: int, size: int) -> None:
    x = 1000 * torch.rand(B, C, H, W, generator=torch.Generator().manual_seed(H * W))
    expected = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(resized(x, size), expected, rtol=1e-5, atol=1e-3)


def test_resizing_stays_exact_where_others_compute_in_bfloat16() -> None:
    x = 60_000 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    plain = resized(x, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resized(x, 16), plain)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.float16, torch.float64])
def test_pixels_of_any_type_are_resized_as_their_numbers_are(dtype: torch.dtype) -> None:
    x = torch.randint(200, (2, 3, 30, 41), generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(resized(x, 16), resized(x.float(), 16))
    assert resized(x, 16).dtype == torch.float32
    assert resized(x[..., :30], 30).dtype == torch.float32


def test_pixels_that_lie_in_any_order_are_resized_as_their_copy_is() -> None:
    x = torch.rand(2, 3, 30, 41, generator=torch.Generator().manual_seed(0))
    for other in (x.to(memory_format=torch.channels_last), x.flip(0)[..., 3:], x.transpose(2, 3), x[::2, 1:]):
        assert torch.equal(resized(other, 16), resized(other.clone(memory_format=torch.contiguous_format), 16))


def test_whoever_asks_for_gradients_gets_them() -> None:
    x = torch.rand(1, 1, 37, 37)
    with torch.inference_mode():
        expected = resized(x, 24)
    scale = torch.ones((), requires_grad=True)
    found = resized(x * scale, 24)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.sum().backward()
    assert scale.grad is not None


@given(st.lists(st.floats(-100_000, 2.0**60, width=32), min_size=1, max_size=40))
@settings(deadline=None)
def test_arcsinh_is_numpys_on_both_sides_of_zero(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    np.testing.assert_allclose(arcsinh(x).numpy(), np.arcsinh(x.double().numpy()), rtol=2e-6, atol=2e-7)
