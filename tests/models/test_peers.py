"""Several processes together do what one does: noise, means and rows, with what they tell each other stood in for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contrascope.models import peers
from contrascope.models.peers import mean_over_all, noise_like, of_all, sharing
from contrascope.vocabulary import Share


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@given(processes=st.integers(1, 4), half=st.integers(1, 5), width=st.integers(1, 3))
def test_every_cell_gets_the_noise_it_would_get_from_one_process(processes: int, half: int, width: int) -> None:
    cells = 2 * half * processes
    whole = noise_like(torch.zeros(cells, width), seeded())
    found = torch.full_like(whole, torch.nan)
    for rank in range(processes):
        share = Share(rank, processes)
        with sharing(share):
            found[share.places(cells)] = noise_like(torch.zeros(cells // processes, width), seeded())
    torch.testing.assert_close(found, whole, rtol=0, atol=0)
    assert whole.dtype == torch.float32


def test_a_share_ends_with_its_block_whatever_ends_it() -> None:
    x = torch.zeros(4, 2)
    alone = noise_like(x, seeded())
    with pytest.raises(KeyError), sharing(Share(1, 2)):
        assert not torch.equal(noise_like(x, seeded()), alone)
        raise KeyError
    assert torch.equal(noise_like(x, seeded()), alone)


def test_alone_nothing_is_changed_and_nobody_is_asked() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert mean_over_all(x) is x
    assert of_all(x) is x


def test_a_mean_over_all_is_that_of_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [torch.tensor([1.0, 5.0], requires_grad=True), torch.tensor([2.0, 7.0])]
    monkeypatch.setattr(peers.distributed, "all_reduce", lambda x: x.copy_(sum(v.detach() for v in values)))
    with sharing(Share(0, 2)):
        mean = mean_over_all(values[0])
    assert mean.tolist() == [1.5, 6.0]
    assert not mean.requires_grad
    assert values[0].tolist() == [1.0, 5.0], "one's own values stay"


@pytest.mark.parametrize("loss", [lambda x: (x @ x.T).square().mean(), lambda x: x.std(dim=0).prod()])
def test_rows_of_all_have_the_gradient_that_one_process_would_have_times_their_number(
    loss: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.randn(3, 4, 2, generator=seeded())  # of three processes
    whole = rows.reshape(12, 2).clone().requires_grad_()
    loss(whole).backward()
    assert whole.grad is not None

    def gathered(parts: list[Tensor], mine: Tensor) -> None:
        for part, of_one in zip(parts, rows, strict=True):
            part.copy_(of_one)

    monkeypatch.setattr(peers.distributed, "all_gather", gathered)
    # Every process goes back from the same value, so each has the same gradients.
    monkeypatch.setattr(peers.distributed, "all_reduce", lambda x: x.mul_(3))
    for rank in range(3):
        mine = rows[rank].clone().requires_grad_()
        with sharing(Share(rank, 3)):
            everyone = of_all(mine)
        torch.testing.assert_close(everyone, whole)
        loss(everyone).backward()
        torch.testing.assert_close(mine.grad, 3 * whole.grad[4 * rank : 4 * rank + 4])
