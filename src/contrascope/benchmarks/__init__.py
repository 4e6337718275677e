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

from collections.abc import Sequence
from typing import Any

from anndata import AnnData

from contrascope.benchmarks.options import check_options
from contrascope.benchmarks.result import Result
from contrascope.benchmarks.rows import refuse_other_rows
from contrascope.profiles.aggregate import need_one_perturbation_each
from contrascope.registry import BENCHMARKS

__all__ = ["Result", "benchmark"]


def benchmark(data: AnnData, name: str, *, spaces: Sequence[str] | None = None, **options: Any) -> Result:
    """Put one question to the embeddings in ``data``.

    Args:
        data: Cells or profiles, as the benchmark takes (table at the top of this module); any embedding in
            ``obsm`` will do, ours or another's.
        name: A registered benchmark.
        spaces: Keys of ``obsm`` or ``combined``. Default: those there among background, salient, combined,
            technical, cellprofiler, untrained and intensity; if there is none of them, every key.
        options: The benchmark's own keywords.

    Raises:
        SettingsError: No such benchmark; an unknown or a missing option, or one of another type.
        BenchmarkError: It cannot be computed from these data; they are profiles where it takes cells; or a guide has
            two perturbations, whether the benchmark looks at guides or not.
    """
    function = BENCHMARKS[name]
    check_options(name, function, options | {"spaces": spaces} if spaces is not None else options)
    refuse_other_rows(data, name)
    need_one_perturbation_each(data.obs)
    result: Result = function(data, spaces=spaces, **options)
    return result
