"""A run in a page of text: what it is of, what was set, what came of it, and how its spaces are used."""

from __future__ import annotations

from typing import Any

import polars as pl
import yaml

from contrascope.config import PRESETS
from contrascope.training.files import METRICS, WEIGHTS
from contrascope.training.module import asks_how_imaged
from contrascope.training.run import Run
from contrascope.vocabulary import BACKGROUND


def described(run: Run) -> str:
    """A run as text."""
    return f"{run}\n{yaml.safe_dump(description(run), sort_keys=False, allow_unicode=True)}"


def description(run: Run) -> dict[str, Any]:
    """What ``contrascope info`` says of a run, in sections."""
    facts = run.facts
    started = {"start_from": facts["start_from"]} if "start_from" in facts else {}
    return {
        "model": run.model_name,
        "store": facts["store"] | {"channels": facts["channels"], "crop": facts["crop_size"]},
        "fingerprint": run.fingerprint,
        **started,
        "preset": run.settings.preset,
        "settings that differ from it": changed_settings(run),
        **({"of these without effect on this model": idle} if (idle := idle_settings(run)) else {}),
        "outcome": facts["outcome"],
        **({"perturbations without a cell to train on": unseen} if (unseen := run.never_trained_on) else {}),
        "latent spaces": latent_statistics(run),
        "size": _size(run),
        "versions": facts["versions"],
    }


def changed_settings(run: Run) -> dict[str, Any]:
    """The settings that are not those of the run's preset for a store of its size."""
    preset = PRESETS[run.settings.preset](run.facts["store"]["cells"])
    settings = run.settings.model_dump()
    changed = [name for name, value in settings.items() if name in preset and value != preset[name]]
    said = run.settings.model_dump(mode="json")
    return {name: said[name] for name in changed}


def idle_settings(run: Run) -> list[str]:
    """Settings that differ from the preset, and that a model of this kind has no use for."""
    model, settings = run.model, run.settings
    idle: set[str] = set()
    if not model.has_salient:
        idle |= {"wasserstein_weight", "salient_reference", "independence", "independence_weight"}
        idle |= {"salient_technical_weight"}
    if settings.independence_weight == 0:
        idle |= {"independence"}
    if not model.has_technical:
        idle |= {"technical_size", "technical_perturbation_weight"}
    if not asks_how_imaged(model, settings):
        idle |= {"technical"}
    if len(model.sizes) == 1:
        idle |= {"encoders"}
    if not list(model.priors[BACKGROUND].parameters()):
        idle |= {"control_prior"}
    return [name for name in changed_settings(run) if name in idle]


def latent_statistics(run: Run) -> dict[str, float]:
    """The numbers of the latent spaces at the validation whose weights are kept; none of runs that logged none."""
    if not (run.path / METRICS).is_file():
        return {}
    logged = run.metrics().filter(
        # Lightning counts the steps that are logged from 0.
        pl.col("name").str.starts_with("latent/"),
        pl.col("step") < run.facts["outcome"]["best_step"],
    )
    last = logged.filter(pl.col("step") == pl.col("step").max()) if len(logged) else logged
    values = last.select(pl.col("name").str.strip_prefix("latent/"), pl.col("value").round(3))
    return dict(values.iter_rows())


def _size(run: Run) -> dict[str, Any]:
    """Of the model, in numbers and on disk."""
    spaces = run.model.sizes
    return {
        "dimensions": dict(spaces),
        "perturbations": len(run.perturbations),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "weights in MB": round((run.path / WEIGHTS).stat().st_size / 1e6, 1),
    }
