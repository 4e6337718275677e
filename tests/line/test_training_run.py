"""A run is put aside, comes back or goes, by what becomes of the one that takes its place; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrascope.config import load_screen_settings
from contrascope.errors import RunError, SettingsError
from contrascope.line.finished import Finished
from contrascope.line.training_run import parent_run, room_for

SAID = ("model", "settings", "channels", "crop_size", "perturbations", "store", "versions", "transform", "technical")


def finished(run: Path, made_from: str, **facts: object) -> Path:
    """A folder that says it holds a finished run."""
    run.mkdir(parents=True)
    said = dict.fromkeys(SAID) | {"outcome": {}, "fingerprint": made_from, "format": 1} | facts
    (run / "run.json").write_text(json.dumps(said))
    return run


def unfinished(run: Path, made_from: str) -> Path:
    run.mkdir(parents=True)
    (run / "unfinished.json").write_text(json.dumps({"fingerprint": made_from}))
    return run


def there(run: Path) -> dict[str, str]:
    """Which runs lie beside each other: folder -> what its run was made from."""
    return {
        folder.name: json.loads(next(folder.glob("*.json")).read_text())["fingerprint"]
        for folder in run.parent.iterdir()
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "mcvae"


def test_the_run_that_is_wanted_stays_where_it_is(run: Path) -> None:
    finished(run, "wanted")
    with room_for(run, "wanted"):
        assert there(run) == {"mcvae": "wanted"}
    assert there(run) == {"mcvae": "wanted"}


def test_a_finished_run_lies_beside_until_the_other_is_finished(run: Path) -> None:
    finished(run, "former")
    with room_for(run, "wanted"):
        assert there(run) == {"mcvae.before": "former"}
        finished(run, "wanted")
    assert there(run) == {"mcvae": "wanted"}


def test_it_comes_back_where_the_other_is_refused_before_anything_is_written(run: Path) -> None:
    finished(run, "former")
    with pytest.raises(RunError, match="no cell"), room_for(run, "wanted"):
        raise RunError("no cell")
    assert there(run) == {"mcvae": "former"}


@pytest.mark.parametrize("end", [RunError, KeyboardInterrupt, ZeroDivisionError])
def test_it_stays_beside_what_was_begun_and_comes_back_when_it_is_wanted_again(
    end: type[BaseException], run: Path
) -> None:
    finished(run, "former")
    with pytest.raises(end), room_for(run, "wanted"):
        unfinished(run, "wanted")
        raise end
    assert there(run) == {"mcvae": "wanted", "mcvae.before": "former"}
    with room_for(run, "former"):
        assert there(run) == {"mcvae": "former"}


def test_an_unfinished_run_is_gone_on_with_or_gives_way(run: Path) -> None:
    unfinished(run, "wanted")
    with room_for(run, "wanted"):
        assert there(run) == {"mcvae": "wanted"}
    with room_for(run, "another"):
        assert there(run) == {}


def test_a_run_that_cannot_be_read_is_put_aside_like_another(run: Path) -> None:
    finished(run, "wanted")
    (run / "run.json").write_text("{")
    with pytest.raises(KeyboardInterrupt), room_for(run, "wanted"):
        assert not run.exists()
        raise KeyboardInterrupt
    assert (run.with_name("mcvae.before") / "run.json").read_text() == "{"


def made(screen: Path, out: Path, **changes: object) -> Finished:
    return Finished(load_screen_settings(screen, changes), out)


def test_without_start_from_there_is_no_parent(tiny_screen: Path, tmp_path: Path) -> None:
    assert parent_run(made(tiny_screen, tmp_path)) is None


@pytest.mark.parametrize("below", ["", "parent"])
def test_a_parent_does_not_lie_where_its_child_would_be(below: str, tiny_screen: Path, tmp_path: Path) -> None:
    start = finished(tmp_path / "runs" / "mcvae" / below, "former")
    with pytest.raises(RunError, match=r"where the run that starts from it would be.*nothing was changed"):
        parent_run(made(tiny_screen, tmp_path, start_from=str(start)))


def test_a_parent_is_a_run_and_no_url(tiny_screen: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere holds no finished run"):
        parent_run(made(tiny_screen, tmp_path, start_from=str(tmp_path / "nowhere")))
    with pytest.raises(SettingsError, match="s3://bucket/run is a URL"):
        parent_run(made(tiny_screen, tmp_path, start_from="s3://bucket/run"))
    finished(tmp_path / "runs" / "mcvae", "child", start_from="parent's")
    with pytest.raises(RunError, match=r"was trained from a run, and start_from, .*nowhere, is none any more"):
        parent_run(made(tiny_screen, tmp_path, start_from=str(tmp_path / "nowhere")))
