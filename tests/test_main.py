"""The command is there for whoever names a Python, not a script."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest


def test_a_python_runs_the_command_by_the_name_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["contrascope", "verify", str(tmp_path / "none.zarr")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("contrascope", run_name="__main__")
    assert ended.value.code == 1
    assert "none.zarr cannot be opened" in capsys.readouterr().err
