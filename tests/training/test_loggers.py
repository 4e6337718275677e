"""Weights & Biases and MLflow are told what is logged, where they are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from contrascope.errors import RunError, SettingsError
from contrascope.store.store import CropStore
from contrascope.training import loggers
from contrascope.training.run import Run

Train = Callable[..., Run]


class Notebook(Logger):
    """A logger that anybody could have written."""

    name, version = "notebook", "1"

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        self.told |= params

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.metrics |= metrics


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    made = Notebook()
    monkeypatch.setitem(loggers.LOGGERS, "json", lambda _: made)  # json is a package that is always there
    yield made


def test_a_logger_is_told_what_is_trained_and_what_came_of_it(
    notebook: Notebook, run: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    again = train(store, tmp_path / "run", loggers=["json"])
    assert notebook.told["model"] == "mcvae"
    assert notebook.told["fingerprint"] == again.fingerprint == run.fingerprint
    assert notebook.told["batch_size"] == 32
    assert set(notebook.metrics) - {"epoch"} == set(run.metrics()["name"])
    assert again.metrics().equals(run.metrics())


def test_a_package_that_is_not_there_is_named_with_the_extra_that_brings_it(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"wandb needs a package.*contrascope\[wandb\]"):
        train(store, tmp_path / "run", loggers=["wandb"])
    assert not (tmp_path / "run").exists()


def test_an_unknown_logger_is_named_beside_the_known(store: CropStore, train: Train, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no logger 'comet'.*wandb, mlflow"):
        train(store, tmp_path / "run", loggers=["comet"])


def test_a_logger_that_cannot_be_reached_says_so_in_one_paragraph(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: Path) -> Logger:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(loggers.LOGGERS, "json", unreachable)
    with pytest.raises(RunError, match="logger json cannot be used: no route to host"):
        train(store, tmp_path / "run", loggers=["json"])


def test_where_the_second_logger_fails_the_first_is_ended_too(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Wandb(Notebook):
        class experiment:  # noqa: N801 - what wandb's own is called
            finish = staticmethod(lambda: ended.append("wandb"))

    def unreachable(_: Path) -> Logger:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(loggers, "WandbLogger", Wandb)
    monkeypatch.setitem(loggers.LOGGERS, "json", lambda _: Wandb())
    monkeypatch.setitem(loggers.LOGGERS, "csv", unreachable)
    with pytest.raises(RunError, match="logger csv cannot be used"):
        train(store, tmp_path / "run", loggers=["json", "csv"])
    assert ended == ["wandb"]


@pytest.mark.skipif(find_spec("wandb") is None, reason="needs the extra wandb")
def test_wandb_writes_what_can_be_sent_later(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    trained = train(store, tmp_path / "run", loggers=["wandb"])
    assert list((trained.path / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra mlflow")
def test_mlflow_has_the_last_value_of_each_metric(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    trained = train(store, tmp_path / "run", loggers=["mlflow"])
    (found,) = (trained.path / "mlflow").rglob("validation/loss")
    assert (
        float(found.read_text().splitlines()[-1].split()[1])
        == trained.metrics().filter(name="validation/loss")["value"][-1]
    )
