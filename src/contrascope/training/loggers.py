"""Loggers that are not ours: Weights & Biases and MLflow, for those who gather their trainings there.

Where they send things is for their own variables to say: WANDB_MODE, WANDB_PROJECT, MLFLOW_TRACKING_URI and
MLFLOW_EXPERIMENT_NAME among them. MLflow can also write into the run's folder, which MLFLOW_ALLOW_FILE_STORE=true
permits to its versions from 3 on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from contrascope.errors import RunError, SettingsError


def _wandb(out: Path) -> Logger:
    return WandbLogger(project=os.environ.get("WANDB_PROJECT", "contrascope"), name=out.name, save_dir=out)


def _mlflow(out: Path) -> Logger:
    return MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", "contrascope"),
        run_name=out.name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
        save_dir=str(out.absolute() / "mlflow"),
    )


LOGGERS: dict[str, Callable[[Path], Logger]] = {"wandb": _wandb, "mlflow": _mlflow}
"""Name, which is also that of the package and of our extra -> a logger for a run's folder."""

_VARIABLES = {
    "wandb": "WANDB_MODE=offline or WANDB_API_KEY, for instance",
    "mlflow": "MLFLOW_TRACKING_URI, or MLFLOW_ALLOW_FILE_STORE=true to write into the run's folder",
}


def refuse_absent(names: Sequence[str]) -> None:
    """Make sure that loggers are known and installed.

    Raises:
        SettingsError: One is not.
    """
    for name in names:
        if name not in LOGGERS:
            raise SettingsError(f"There is no logger '{name}'. Choose among: {', '.join(LOGGERS)}.")
        if find_spec(name) is None:
            raise SettingsError(
                f"Logging to {name} needs a package that is not installed. Install it with "
                f"`pip install 'contrascope[{name}]'`, or leave the logger out: metrics.csv and TensorBoard have all."
            )


@contextmanager
def opened(names: Sequence[str], out: Path, facts: dict[str, Any]) -> Iterator[list[Logger]]:
    """The loggers of a training, told what is trained; ended with it.

    Args:
        names: In ``LOGGERS``.
        out: The run's folder.
        facts: What the training is of.

    Raises:
        RunError: A logger cannot reach its server, or wants somebody to log in.
    """
    with ExitStack() as ended:
        yield [_opened(name, out, facts, ended) for name in names]


def _opened(name: str, out: Path, facts: dict[str, Any], ended: ExitStack) -> Logger:
    try:
        logger = LOGGERS[name](out)
        if isinstance(logger, WandbLogger):  # of itself it would go on into the next training of this process
            ended.callback(logger.experiment.finish)
        logger.log_hyperparams(facts)
    except Exception as error:  # they have errors of many kinds, and all of them are about a machine or an account
        raise RunError(
            f"The logger {name} cannot be used: {' '.join(str(error).split())[:500]}. Set it up by its own variables "
            f"({_VARIABLES.get(name, 'see its manual')}), or leave it out."
        ) from None
    return logger
