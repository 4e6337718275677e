"""Schedules: pure functions of the training step. Evaluating never advances them."""

from __future__ import annotations

import math


def warmup_within(asked: int, *, steps: int) -> int:
    """Steps over which beta rises: those asked for, but at most half of the training's; the others have all of it."""
    return min(asked, steps // 2)


def beta_at(step: int, *, warmup_steps: int, beta: float = 1.0) -> float:
    """Weight of what the spaces hold: from 0 to ``beta`` over the first steps, then ``beta``."""
    return beta if warmup_steps == 0 else beta * min(1.0, step / warmup_steps)


def validated_every(steps: int, *, times: int) -> int:
    """Steps from one validation of an epoch to the next, of which the number asked for is met most nearly."""
    fewest = max(1, steps // times)
    return min((fewest, fewest + 1), key=lambda every: abs(steps // every - times))


def learning_rate_at(step: int, *, steps: int, decay: bool) -> float:
    """Share of the full learning rate: 1 throughout, or a half cosine from 1 to 0.02 with a short rise before it."""
    if not decay:
        return 1.0
    rise = max(1, min(100, steps // 20))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
