"""A job that was given some cores of a machine does not count the others."""

from __future__ import annotations

import os

import pytest

from contrascope.cores import cores


def test_only_the_cores_that_were_given_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7, 9}, raising=False)
    assert cores() == 3


def test_where_the_system_does_not_say_the_machines_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cores() == 5
