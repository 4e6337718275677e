"""Schedules depend on the step and on nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.config import training_settings
from contrascope.training.schedules import beta_at, learning_rate_at, validated_every, warmup_within

steps_of_a_run = st.integers(1, 100_000)


def test_the_papers_beta_rises_linearly_from_0_to_1_over_4500_steps() -> None:
    warmup = training_settings(31_000_000, preset="paper").beta_warmup_steps
    assert [beta_at(step, warmup_steps=warmup) for step in (0, 450, 2250, 4500, 40_000)] == [0.0, 0.1, 0.5, 1.0, 1.0]


def test_without_warm_up_beta_is_all_there_from_the_start() -> None:
    assert beta_at(0, warmup_steps=0) == 1.0
    assert beta_at(0, warmup_steps=0, beta=16.0) == 16.0


@given(st.integers(0, 10**7), st.integers(0, 10**5))
def test_beta_never_falls_and_stays_within_0_and_1(step: int, warmup: int) -> None:
    now, later = (beta_at(s, warmup_steps=warmup) for s in (step, step + 1))
    assert 0.0 <= now <= later <= 1.0


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_however_short_a_training_is_most_of_it_is_at_beta_1(asked: int, steps: int) -> None:
    warmup = warmup_within(asked, steps=steps)
    at_one = sum(beta_at(step, warmup_steps=warmup) == 1 for step in range(steps))
    assert at_one >= steps / 2
    assert warmup == asked or asked > steps / 2 - 1


@given(steps_of_a_run, st.integers(1, 100))
def test_no_other_interval_validates_more_nearly_as_often_as_asked(steps: int, times: int) -> None:
    every = validated_every(steps, times=times)
    nearest = min(abs(steps // other - times) for other in range(1, min(steps, 500) + 1))
    assert 1 <= every <= steps
    assert abs(steps // every - times) == nearest or every > 500


def test_ten_validations_of_eighteen_steps_are_nine_and_not_eighteen() -> None:
    assert [18 // validated_every(18, times=times) for times in (1, 2, 5, 10, 18, 100)] == [1, 2, 6, 9, 18, 18]


def test_asking_does_not_advance_a_schedule() -> None:
    assert len({beta_at(3, warmup_steps=10) for _ in range(20)}) == 1
    assert len({learning_rate_at(3, steps=100, decay=True) for _ in range(20)}) == 1


@given(st.integers(0, 10**6), steps_of_a_run)
def test_without_decay_the_rate_is_full_throughout(step: int, steps: int) -> None:
    assert learning_rate_at(step, steps=steps, decay=False) == 1.0


@given(st.integers(0, 200_000), steps_of_a_run)
def test_the_rate_is_never_zero_nor_above_full(step: int, steps: int) -> None:
    assert 0.0 < learning_rate_at(step, steps=steps, decay=True) <= 1.0


@pytest.mark.parametrize("steps", [5, 40, 1000, 50_000])
def test_the_rate_rises_shortly_then_falls_to_a_fiftieth(steps: int) -> None:
    rates = [learning_rate_at(step, steps=steps, decay=True) for step in range(steps + 1)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0)
    assert top <= max(1, steps // 10)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_half_way_the_rate_is_half() -> None:
    assert learning_rate_at(550, steps=1050, decay=True) == pytest.approx(0.51, abs=0.02)
