"""Benchmarks: questions to an embedding, each in a file of its own, each answer beside its chance level.

| name | takes | asks |
|---|---|---|
| complexes | perturbation profiles | are genes of one complex alike? |
| artifacts | cells | can batch and position be read from the embedding? |
| dose | cells | does the profile of a well move with the dose? |
| functions | guide profiles | can the function of a gene be read from its guides? |
| stages | cells | can the stage of a control cell be read from the embedding? |
| mitosis | cells | is the effect of mitotic genes in the background? |
| explained | cells | is a phenotype made of what controls vary in anyway? |
| novelty | cells | is an effect more than chance, and how much of it is salient? |
| hits | cells | which perturbations do anything at all? |
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from anndata import AnnData

from contrascope.benchmarks.result import Result
from contrascope.errors import SettingsError
from contrascope.registry import BENCHMARKS

__all__ = ["Result", "benchmark"]


def benchmark(data: AnnData, name: str, *, spaces: Sequence[str] | None = None, **options: Any) -> Result:
    """Put one question to the embeddings in ``data``.

    Args:
        data: Cells or profiles, as the benchmark takes (table at the top of this module); any embedding in
            ``obsm`` will do, ours or another's.
        name: A registered benchmark.
        spaces: Keys of ``obsm`` or ``combined``. Default: those there among background, salient, combined,
            untrained and intensity; if there is none of them, every key.
        options: The benchmark's own keywords.

    Raises:
        SettingsError: No such benchmark; an unknown or a missing option.
        BenchmarkError: It cannot be computed from these data.
    """
    function = BENCHMARKS[name]
    _check_options(name, function, options)
    result: Result = function(data, spaces=spaces, **options)
    return result


def _check_options(name: str, function: Any, options: dict[str, Any]) -> None:
    _, *parameters = inspect.signature(function).parameters.values()
    known = {p.name: p.default is inspect.Parameter.empty for p in parameters if p.name != "spaces"}
    unknown = sorted(set(options) - set(known))
    missing = [option for option, required in known.items() if required and option not in options]
    if unknown or missing:
        found = f"has no option {', '.join(unknown)}" if unknown else f"needs the option {', '.join(missing)}"
        raise SettingsError(f"The benchmark '{name}' {found}. Its options: {', '.join(known)}.")
