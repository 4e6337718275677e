"""HSIC: the definition as a slow loop, no bias on independent numbers, and an eye for what correlation misses."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contrascope.models.independence import dependence, gaussian_kernel, hsic


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(K: Tensor, L: Tensor) -> float:
    """Mean over pairs of K L, plus over two pairs of cells, less twice over three cells; no cell twice in a term."""
    n = len(K)
    two = np.mean([float(K[i, j] * L[i, j]) for i, j in permutations(range(n), 2)])
    four = np.mean([float(K[i, j] * L[q, r]) for i, j, q, r in permutations(range(n), 4)])
    three = np.mean([float(K[i, j] * L[i, q]) for i, j, q in permutations(range(n), 3)])
    return float(two + four - 2 * three)


@given(st.integers(4, 7), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_estimate_is_the_definition(n: int, seed: int) -> None:
    K, L = gaussian_kernel(normal(n, 2, seed=seed)), gaussian_kernel(normal(n, 3, seed=seed + 1))
    assert hsic(K, L).item() == pytest.approx(by_definition(K, L), abs=1e-12)


def test_independent_numbers_have_none_on_average() -> None:
    found = [dependence(normal(32, 3, seed=2 * i), normal(32, 2, seed=2 * i + 1)).item() for i in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_it_sees_what_correlation_does_not() -> None:
    x = normal(256, 1)
    assert abs(np.corrcoef(x[:, 0], x[:, 0] ** 2)[0, 1]) < 0.2
    assert dependence(x, x**2).item() > 0.3


def test_a_space_depends_on_itself_wholly_however_moved_and_scaled() -> None:
    x = normal(40, 3)
    assert dependence(x, 5 * x + 2).item() == pytest.approx(1, abs=1e-9)


def test_order_and_scale_make_no_difference() -> None:
    x, y = normal(30, 3), normal(30, 2, seed=1) + normal(30, 3)[:, :2]
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    for other in (dependence(y, x), dependence(100 * x, y), dependence(x[order], y[order])):
        assert other.item() == pytest.approx(dependence(x, y).item(), rel=1e-9)


def test_following_its_gradient_makes_two_spaces_independent() -> None:
    x, y = normal(64, 2), (normal(64, 2) + 0.3 * normal(64, 2, seed=1)).requires_grad_()
    before = dependence(x, y).item()
    optimizer = torch.optim.Adam([y], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        dependence(x, y).square().backward()
        optimizer.step()
    assert abs(dependence(x, y).item()) < 0.1 * before


def test_cells_that_are_all_alike_give_a_number() -> None:
    same = torch.ones(8, 3, requires_grad=True)
    value = dependence(same, normal(8, 2).float())
    value.backward()
    assert torch.isfinite(value)
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


def test_it_is_as_exact_under_the_autocast_that_models_train_in() -> None:
    """HSIC is a small difference of large sums; in bfloat16 little of it would be left."""
    x, y = normal(64, 8).float(), (normal(64, 8, seed=1) + 0.3 * normal(64, 8)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = dependence(x, y)
    torch.testing.assert_close(seen, dependence(x, y), rtol=1e-5, atol=1e-6)


def test_three_cells_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 4 cells, not 3"):
        dependence(normal(3, 2), normal(3, 2))


def test_labels_that_say_the_same_as_numbers_depend_on_them() -> None:
    label = torch.arange(60)[:, None] % 3
    assert dependence(label.double() + 0.01 * normal(60, 1), label).item() > 0.7
    assert dependence(label, label).item() == pytest.approx(1, abs=1e-6)


def test_labels_that_say_nothing_have_none_on_average() -> None:
    label = torch.arange(32)[:, None] % 3
    found = [dependence(normal(32, 3, seed=i), label).item() for i in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_one_of_two_kinds_of_labels_is_enough_to_depend_on() -> None:
    kind, other = torch.arange(60) % 3, torch.arange(60) // 7 % 4
    x = kind[:, None].double() + 0.01 * normal(60, 1)
    both = dependence(x, torch.stack([kind, other], dim=1)).item()
    assert 0.2 < both < dependence(x, kind[:, None]).item()


@pytest.mark.parametrize("cells", [8, 64, 512])
@pytest.mark.parametrize("odd", [0, 1])
def test_labels_that_say_nothing_of_the_batch_depend_on_nothing(cells: int, odd: int) -> None:
    """A screen of one batch, or a validation batch within a well: what rounding leaves must not be taken for more."""
    labels = torch.zeros(cells, 1, dtype=torch.long)
    labels[:odd] = 1
    x = normal(cells, 2).float().requires_grad_()
    found = dependence(x, labels)
    found.backward()
    assert found == 0
    assert x.grad is not None and not x.grad.any()


def test_numbers_that_do_not_vary_depend_on_nothing() -> None:
    assert dependence(torch.zeros(32, 3), normal(32, 2).float()) == 0


def test_labels_of_which_two_cells_differ_are_heard() -> None:
    labels = torch.zeros(512, 1, dtype=torch.long)
    labels[:2] = 1
    assert dependence(labels.float(), labels).item() == pytest.approx(1, abs=0.01)
