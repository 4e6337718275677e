"""STRING's networks: ``protein.links`` with a score a pair, cut at a least score.

Proteins have STRING's own names, ``9606.ENSP00000269305``; ``protein.info`` says which gene each belongs to. Scores
are a thousand times a probability: STRING calls 700 high and 900 highest confidence, cp-posh (Sivanandan et al. 2023)
takes 950. A pair below the cut counts as unrelated, however near it is.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from contrascope.benchmarks.annotations.known import Annotations, pairs_of
from contrascope.benchmarks.annotations.text import first_line, numbered_lines
from contrascope.errors import BenchmarkError

MIN_SCORE = 950
_FIRST, _SECOND, _SCORE = "protein1", "protein2", "combined_score"
_ID = r"^\d+\."


def is_string(line: str) -> bool:
    """Whether a first line is the header of a table of links."""
    return {_FIRST, _SECOND} <= set(line.split())


def is_protein_info(line: str) -> bool:
    """Whether a first line is the header of STRING's tables of proteins, which are no links."""
    return line.startswith(("#string_protein_id", "string_protein_id", "protein_external_id"))


def read_string(path: Path, *, min_score: float | None = None, protein_names: Path | str | None = None) -> Annotations:
    """Pairs of genes whose link scores ``min_score`` or more.

    Args:
        path: ``protein.links``, ``protein.physical.links`` or their detailed forms, as text or gzipped.
        min_score: 0 to 1000; 950 unless told.
        protein_names: ``protein.info`` of the same release; needed where proteins have STRING's names.

    Raises:
        BenchmarkError: Not such a table, no names for its proteins, or no link as strong as that.
    """
    cut = MIN_SCORE if min_score is None else min_score
    if not 1 <= cut <= 1000:
        raise BenchmarkError(f"min_score is {cut}. STRING's scores go from 1 to 1000: 950 for a probability of .95.")
    links = _links(path, cut)
    if not len(links):
        raise BenchmarkError(f"{path} has no link with a {_SCORE} of {cut:g} or more. Lower min_score.")
    if protein_names is not None:
        return _named(links, _gene_of(Path(protein_names)), protein_names)
    if links[_FIRST].str.contains(_ID).any():
        raise BenchmarkError(
            f"{path} names proteins as STRING does ({links[_FIRST][0]}), not genes. Give STRING's protein.info of the "
            "same release as protein_names."
        )
    return Annotations(pairs=pairs_of(links.iter_rows()))


def _links(path: Path, cut: float) -> pl.DataFrame:
    header = first_line(path)
    separator = "\t" if "\t" in header else " "
    if not {_FIRST, _SECOND, _SCORE} <= set(header.split()):
        raise BenchmarkError(f"{path} is no table of STRING's links: it lacks one of {_FIRST}, {_SECOND}, {_SCORE}.")
    try:
        links = pl.scan_csv(path, separator=separator, quote_char=None, glob=False)
        strong = links.filter(pl.col(_SCORE).cast(pl.Float64) >= cut)
        return strong.select(_FIRST, _SECOND).collect()
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())[:200]
        raise BenchmarkError(f"{path} cannot be read as STRING's links ({reason}). Fetch it again.") from None


def _gene_of(path: Path) -> dict[str, str]:
    """Protein -> gene, from ``protein.info``."""
    lines = numbered_lines(path)
    header = [name.lstrip("#") for name in next(lines, (0, ""))[1].split("\t")]
    if not {"string_protein_id", "preferred_name"} <= set(header):
        raise BenchmarkError(
            f"{path} is not STRING's protein.info: the columns #string_protein_id and preferred_name were needed."
        )
    protein, gene = header.index("string_protein_id"), header.index("preferred_name")
    rows = (line.split("\t") for _, line in lines)
    return {row[protein].strip(): row[gene].strip() for row in rows if len(row) > max(protein, gene)}


def _named(links: pl.DataFrame, gene_of: dict[str, str], names: Path | str) -> Annotations:
    proteins = set(links[_FIRST]) | set(links[_SECOND])
    unknown = sorted(proteins - set(gene_of))
    if len(unknown) == len(proteins):
        raise BenchmarkError(
            f"{names} names none of the proteins of the links, such as {unknown[0]}. Give protein.info of the same "
            "organism and release."
        )
    pairs = pairs_of((gene_of[a], gene_of[b]) for a, b in links.iter_rows() if a in gene_of and b in gene_of)
    note = f"{len(unknown):,} of {len(proteins):,} proteins of STRING have no gene name and were left out."
    return Annotations(pairs=pairs, notes=(note,) if unknown else ())
