"""Light augmentation: a cell has no up and no left, so it may be flipped and turned as one likes.

The eight symmetries of a square are what three flips make: left to right, top to bottom, along the diagonal.
They move pixels and never mix them, so a turned cell is as real as the one that was imaged.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from contrascope.vocabulary import WHOLE, Share


def turned(images: Tensor, *, generator: torch.Generator | None = None, share: Share = WHOLE) -> Tensor:
    """Each image flipped and turned by right angles, at random.

    Args:
        images: (B, C, H, H).
        generator: Source of the choice; torch's own when None.
        share: Where these are part of a batch, which part: the choice is made for the whole batch.

    Returns:
        (B, C, H, H), each image one of its own eight symmetries, all equally likely.
    """
    cells = len(images) * share.of
    choices = torch.randint(2, (3, cells, 1, 1, 1), generator=generator, device=images.device).bool()
    if share.of > 1:
        choices = choices[:, share.places(cells)]
    return (_group_by_group if images.device.type == "cpu" else _flip_by_flip)(images, choices)


def _flip_by_flip(images: Tensor, choices: Tensor) -> Tensor:
    """Every flip of every image, whether or not it is wanted: nothing has to be known of the choices on the way."""
    images = torch.where(choices[0], images.flip(3), images)
    images = torch.where(choices[1], images.flip(2), images)
    return torch.where(choices[2], images.transpose(2, 3), images)


def _group_by_group(images: Tensor, choices: Tensor) -> Tensor:
    """The same, moving each image once: images that share a symmetry are turned together."""
    seen = torch.empty_like(images)
    to_left, to_top, over_diagonal = choices.flatten(1)
    for left, top, diagonal in product((False, True), repeat=3):
        cells = ((to_left == left) & (to_top == top) & (over_diagonal == diagonal)).nonzero()[:, 0]
        group = images[cells].flip([axis for axis, flipped in ((3, left), (2, top)) if flipped])
        seen[cells] = group.transpose(2, 3) if diagonal else group
    return seen
