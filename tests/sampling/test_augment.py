"""Augmentation: the eight symmetries of a square, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from contrascope.sampling.augment import _flip_by_flip, _group_by_group, turned
from contrascope.vocabulary import Share


def symmetries(image: Tensor) -> list[Tensor]:
    """The eight, by turning and by one flip."""
    turns = [torch.rot90(image, k, (1, 2)) for k in range(4)]
    return [*turns, *(turn.flip(2) for turn in turns)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_symmetry_comes_about_as_often_as_the_others() -> None:
    image = torch.arange(2 * 3 * 3.0).reshape(2, 3, 3)
    found = turned(image.expand(4000, 2, 3, 3), generator=generator())
    counts = [int((found == known).flatten(1).all(1).sum()) for known in symmetries(image)]
    assert sum(counts) == 4000
    assert min(counts) > 400 and max(counts) < 600


def test_channels_of_a_cell_turn_together_and_cells_on_their_own() -> None:
    one = torch.rand(1, 1, 5, 5, generator=generator())
    found = turned(one.expand(64, 2, 5, 5), generator=generator())
    assert torch.equal(found[:, 0], found[:, 1])
    assert len({tuple(cell.flatten().tolist()) for cell in found[:, 0]}) == 8


def test_equal_seeds_turn_equally_and_what_came_in_stays_as_it_was() -> None:
    images = torch.rand(16, 3, 4, 4, generator=generator(1))
    before = images.clone()
    assert torch.equal(turned(images, generator=generator(2)), turned(images, generator=generator(2)))
    assert not torch.equal(turned(images, generator=generator(2)), turned(images, generator=generator(3)))
    assert torch.equal(images, before)


def test_a_share_of_a_batch_is_turned_as_it_is_within_the_whole() -> None:
    images = torch.rand(12, 3, 4, 4, generator=generator(1))
    whole = turned(images, generator=generator(2))
    for rank in range(3):
        share = Share(rank, 3)
        mine = share.places(12)
        assert torch.equal(turned(images[mine], generator=generator(2), share=share), whole[mine])


def test_both_ways_of_turning_are_the_same() -> None:
    """One for devices that must not be waited for, one for CPUs."""
    images = torch.rand(40, 3, 6, 6, generator=generator(1)).contiguous(memory_format=torch.channels_last)
    choices = torch.randint(2, (3, 40, 1, 1, 1), generator=generator(2)).bool()
    assert torch.equal(_group_by_group(images, choices), _flip_by_flip(images, choices))
