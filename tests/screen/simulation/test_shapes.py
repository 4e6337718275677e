"""Shapes on patches, against their formulas and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.screen.simulation import shapes

Y, X = np.meshgrid(shapes.AXIS, shapes.AXIS, indexing="ij")


def test_spots_are_gaussians() -> None:
    image = shapes.spots(np.array([[[3.0, -4.5]]]), np.array([[2.0]]), np.array([[5.0]]))
    y, x = np.meshgrid(shapes.AXIS, shapes.AXIS, indexing="ij")
    expected = 5 * np.exp(-((y - 3) ** 2 + (x + 4.5) ** 2) / 8)
    np.testing.assert_allclose(image[0], expected, atol=1e-5)


@given(radius=st.floats(5, 20), ratio=st.floats(1, 2.5), turned=st.floats(0, np.pi))
def test_a_smooth_outline_is_an_ellipse_of_that_radius_ratio_and_axis(
    radius: float, ratio: float, turned: float
) -> None:
    arguments = (np.array([value]) for value in (radius, ratio, turned, 0.0))
    outline = shapes.outlines(*arguments, np.random.default_rng(0))[0].astype(float)
    angle = np.arange(shapes.ANGLES) * 2 * np.pi / shapes.ANGLES
    x, y = outline * np.cos(angle), outline * np.sin(angle)
    # Turned back, every point satisfies the ellipse's equation; half axes a = r sqrt(q), b = r / sqrt(q).
    along, across = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
    a, b = radius * np.sqrt(ratio), radius / np.sqrt(ratio)
    np.testing.assert_allclose((along / a) ** 2 + (across / b) ** 2, 1, rtol=1e-5)


def test_a_rough_outline_wavers_about_its_ellipse() -> None:
    ones = np.ones(4000)
    outline = shapes.outlines(15 * ones, ones, 0 * ones, 0.1 * ones, np.random.default_rng(0))
    waver = np.log(outline / 15)
    assert abs(waver.mean(axis=0)).max() < 0.01
    # Harmonics k = 2 .. 7 of deviations 0.1 (2 / k)^1.4, whose cosines have a mean square of a half.
    expected = np.sqrt(np.sum((0.1 * (2 / np.arange(2, 8)) ** 1.4) ** 2) / 2)
    assert waver.std() == pytest.approx(expected, rel=0.03)


def test_in_a_disc_the_depth_is_radius_less_distance_wherever_it_lies() -> None:
    disc = np.full((1, shapes.ANGLES), 12, np.float32)
    np.testing.assert_allclose(shapes.depth(disc)[0], 12 - np.hypot(Y, X), atol=1e-4)
    aside = shapes.depth_about(disc, np.array([[5.0, -3.0]]))[0]
    np.testing.assert_allclose(aside, 12 - np.hypot(Y - 5, X + 3), atol=1e-4)
    assert shapes.soft(aside).sum() == pytest.approx(np.pi * 12**2, rel=0.01)
    line = shapes.ridge(aside, at=2, width=1)
    assert np.hypot(*(np.argwhere(line > 0.99) - shapes.CENTRE - (5, -3)).T) == pytest.approx(10, abs=0.15)


@given(seed=st.integers(0, 1000))
def test_points_are_drawn_one_by_one_and_those_off_the_patch_left_out(seed: int) -> None:
    random = np.random.default_rng(seed)
    y, x = random.uniform(-60, 60, (2, 3, 50))
    weight = random.uniform(0, 2, (3, 50))
    expected = np.zeros((3, shapes.PATCH, shapes.PATCH))
    for cell in range(3):
        for row, column, w in zip(y[cell], x[cell], weight[cell], strict=True):
            i, j = round(row) + shapes.CENTRE, round(column) + shapes.CENTRE
            if 0 <= i < shapes.PATCH and 0 <= j < shapes.PATCH:
                expected[cell, i, j] += w
    np.testing.assert_allclose(shapes.drawn(y, x, weight), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_noise_has_mean_0_and_deviation_1_and_is_smoother_where_it_is_coarse(scale: float) -> None:
    image = shapes.noise(np.full(300, scale), np.random.default_rng(0)).astype(float)
    assert abs(image.mean()) < 0.05
    assert image.std() == pytest.approx(1, abs=0.1)
    beside = np.corrcoef(image[:, :, 1:].ravel(), image[:, :, :-1].ravel())[0, 1]
    # White noise blurred by a Gaussian of s pixels has the correlation exp(-1 / (4 s^2)) a pixel apart.
    fine, coarse = np.exp(-1 / (4 * 1.1**2)), np.exp(-1 / (4 * 2.6**2))
    weight = np.sin(scale * np.pi / 2) ** 2
    assert beside == pytest.approx((1 - weight) * fine + weight * coarse, abs=0.02)


def test_a_mixture_has_its_parts_in_their_shares_and_nothing_of_what_is_empty() -> None:
    left, right = np.zeros((2, 2, shapes.PATCH, shapes.PATCH), np.float32)
    left[:, :, :40], right[0, :, 40:] = 3, 700
    mixed = shapes.mixed((left, np.array([0.25, 0.25])), (right, 0.75))
    assert mixed[:, :, :40].sum(axis=(1, 2)) == pytest.approx([0.25, 0.25])
    assert mixed[:, :, 40:].sum(axis=(1, 2)) == pytest.approx([0.75, 0])
    assert shapes.shared(right).sum(axis=(1, 2)) == pytest.approx([1, 0])
