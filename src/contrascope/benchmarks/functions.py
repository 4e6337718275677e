"""Gene functions: can the functional group of a gene be read from the profile of a guide against it?

A logistic regression learns from the guides of some genes and is asked about those of others
(Multi-ContrastiveVAE, Figure 4B and C). Guides of one gene are never on both sides: else it could know the gene,
and with it the group, without knowing anything of the function. Genes are dealt into folds group by group, so that
each fold has its share of every group; each guide is asked about once, by the probe that has not seen its gene.

    recall of a group = share of its guides that are said to be of it
    balanced accuracy = mean recall over groups, 1 / K by chance

Beside the exact chance stands what the same probes reach when the genes' groups are permuted, folds and training
and all, and p = (b + 1) / (permutations + 1) with b the permutations that come as far.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from contrascope.benchmarks.confusion import PREDICTED, TRUTH, confusion_rows
from contrascope.benchmarks.gene_groups import Groups, gene_groups_from, one_group_each
from contrascope.benchmarks.probe import MAX_STEPS, Labels, Matrix, linear_probe
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import CONTROL, GUIDE, PERTURBATION

BALANCED_ACCURACY, RECALL, GENE_RECALL = "balanced accuracy", "recall", "gene recall"
RESAMPLES = 1000
"""Of the genes, for intervals."""
EXTRA = (TRUTH, PREDICTED, "gene", "n_genes", "low", "high", "null_mean", "null_p95", "p")
Rows = Iterator[dict[str, Any]]


def functions(
    guides: AnnData,
    *,
    annotations: Groups,
    spaces: Sequence[str] | None = None,
    folds: int = 5,
    permutations: int = 100,
    seed: int = 0,
) -> Result:
    """How well each space tells the function of genes that the probe has not seen.

    Args:
        guides: Guide profiles; control rows are not judged. Profiles of perturbations will do, a row a gene.
        annotations: A CSV or TSV of gene and group, a GMT file, gene -> group, or group -> genes.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        folds: Parts that the genes are dealt into; no more than genes of the largest group.
        permutations: Of the groups among the genes.
        seed: Of folds, permutations and resampled genes.

    Returns:
        Table: space, metric, truth, predicted, gene, n_genes, low, high, null_mean, null_p95, p, value, chance, n.
        Metrics: balanced accuracy; recall of each group (``truth``); confusion, the share of a group's guides that are
        said to be of each; gene recall, the share of a gene's guides that are said to be of its group. Chance is 1 / K,
        of the confusion the share of all guides that are said to be of a group; n counts guides. low and high are 95 %
        of 1,000 resamples of each group's genes, and crude where these are few. Genes of several groups and groups of
        one gene are left out; the notes say which.

    Raises:
        BenchmarkError: Not guide profiles, fewer than two groups, unusable annotations.
    """
    if folds < 2 or permutations < 1:
        raise BenchmarkError(
            f"folds is {folds} and permutations {permutations}. Two folds and one permutation at least."
        )
    group_of, notes = one_group_each(gene_groups_from(annotations), _genes(guides))
    task = _task(guides, group_of, folds, seed)
    notes = [_scope(task), *notes]
    permuted = list(_permuted(task, folds, permutations, seed))
    table: list[dict[str, Any]] = []
    for space in chosen_spaces(guides, spaces):
        features = embedding(guides, space)[task.rows]
        said, unfinished = _asked(features, task)
        null = [_recalls(_asked(features, other)[0], other) for other in permuted]
        table += [{SPACE: space} | row for row in _numbers(said, task, np.array(null), seed)]
        if unfinished:
            notes.append(f"{unfinished} of {task.n_folds} probes in {space} stopped at {MAX_STEPS} steps.")
    frame = tidy(table, extra=EXTRA)
    headline = frame.loc[frame[METRIC] == BALANCED_ACCURACY, list(COLUMNS)].reset_index(drop=True)
    return Result("functions", frame, headline, tuple(notes))


@dataclass(frozen=True)
class _Task:
    """Which guides are judged, and in which fold each is asked about.

    Attributes:
        rows: (N,) rows of the guides, by gene and then by name, so that the order of the table says nothing.
        gene: (N,) their genes as positions in ``genes``.
        genes: G names in alphabetical order.
        groups: K names, in alphabetical order.
        group_of_gene, fold_of_gene: (G,).
    """

    rows: NDArray[np.intp]
    gene: NDArray[np.intp]
    genes: list[str]
    groups: list[str]
    group_of_gene: Labels
    fold_of_gene: NDArray[np.intp]

    @property
    def labels(self) -> Labels:
        """(N,) group of each guide."""
        return self.group_of_gene[self.gene]

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return int(self.fold_of_gene.max()) + 1


def dealt(group_of_gene: Labels, folds: int, seed: int) -> NDArray[np.intp]:
    """(G,) fold of each gene: each group is spread over the folds as evenly as it can be.

    A group of two genes or more is never in one fold alone, so that every probe has seen every group.
    """
    folds = min(folds, int(np.bincount(group_of_gene).max()))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(group_of_gene), dtype=np.intp)
    with warnings.catch_warnings():
        # That a group has fewer genes than there are folds: some folds then have none of it to ask about.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held_out) in enumerate(splitter.split(group_of_gene, group_of_gene)):
            fold[held_out] = number
    return fold


def _genes(guides: AnnData) -> list[str]:
    """The genes of the rows that are no controls; the rows have to be profiles."""
    if PERTURBATION not in guides.obs:
        raise BenchmarkError(f"The profiles lack obs['{PERTURBATION}']. Give profile(cells, by='guide').")
    judged = guides.obs[_judged(guides)]
    if GUIDE in judged and judged[GUIDE].nunique() < len(judged):
        raise BenchmarkError(
            f"functions takes one profile for each guide, but {len(judged):,} rows have {judged[GUIDE].nunique():,} "
            "guides: these are cells. Give profile(cells, by='guide')."
        )
    return [str(gene) for gene in judged[PERTURBATION]]


def _judged(guides: AnnData) -> NDArray[np.bool_]:
    if CONTROL not in guides.obs:
        return np.ones(guides.n_obs, dtype=bool)
    return ~flags(guides.obs[CONTROL])


def _task(guides: AnnData, group_of: dict[str, str], folds: int, seed: int) -> _Task:
    names = guides.obs[PERTURBATION].astype(str).to_numpy()
    rows = np.flatnonzero(_judged(guides) & np.isin(names, list(group_of)))
    rows = np.array(sorted(rows, key=lambda row: (names[row], str(guides.obs_names[row]))), dtype=np.intp)
    genes, gene = np.unique(names[rows].astype(object), return_inverse=True)
    groups, group_of_gene = np.unique(np.array([group_of[g] for g in genes], dtype=object), return_inverse=True)
    fold = dealt(group_of_gene, folds, seed)
    return _Task(rows, gene, list(genes), list(groups), group_of_gene, fold)


def _permuted(task: _Task, folds: int, permutations: int, seed: int) -> Iterator[_Task]:
    """The task with its groups dealt anew among its genes, and the folds with them."""
    generator = np.random.default_rng(seed)
    for _ in range(permutations):
        group_of_gene = generator.permutation(task.group_of_gene)
        fold = dealt(group_of_gene, folds, int(generator.integers(1 << 31)))
        yield replace(task, group_of_gene=group_of_gene, fold_of_gene=fold)


def _asked(features: Matrix, task: _Task) -> tuple[Labels, int]:
    """(N,) what is said of each guide by a probe that has not seen its gene; and how many probes did not converge."""
    labels, fold = task.labels, task.fold_of_gene[task.gene]
    said, unfinished = np.empty(len(labels), dtype=np.intp), 0
    for number in range(task.n_folds):
        asked = fold == number
        answers = linear_probe(features[~asked], labels[~asked], features[asked])
        said[asked] = answers.predicted
        unfinished += not answers.converged
    return said, unfinished


def _recalls(said: Labels, task: _Task) -> Matrix:
    """(K,) recall of each group."""
    labels = task.labels
    recalls: Matrix = np.bincount(labels, weights=said == labels) / np.bincount(labels)
    return recalls


def _numbers(said: Labels, task: _Task, null: Matrix, seed: int) -> Rows:
    """All rows of one space; ``null`` is (permutations, K), the recalls of permuted groups."""
    recalls, draws = _recalls(said, task), _resampled(said, task, seed)
    sizes, chance = np.bincount(task.labels), 1 / len(task.groups)
    everything = {CHANCE: chance, "n_genes": len(task.genes), N: len(said)}
    judged = _against(recalls.mean(), null.mean(axis=1)) | _interval(draws.mean(axis=1))
    yield {METRIC: BALANCED_ACCURACY, VALUE: recalls.mean()} | everything | judged
    for k, name in enumerate(task.groups):
        inside = {TRUTH: name, "n_genes": int((task.group_of_gene == k).sum()), N: int(sizes[k]), CHANCE: chance}
        yield {METRIC: RECALL, VALUE: recalls[k]} | inside | _against(recalls[k], null[:, k]) | _interval(draws[:, k])
    yield from confusion_rows(task.labels, said, task.groups)
    hits, guides = _by_gene(said, task)
    for g, gene in enumerate(task.genes):
        about = {TRUTH: task.groups[task.group_of_gene[g]], "gene": gene, "n_genes": 1, N: int(guides[g])}
        yield {METRIC: GENE_RECALL, VALUE: hits[g] / guides[g], CHANCE: chance} | about


def _by_gene(said: Labels, task: _Task) -> tuple[Matrix, Matrix]:
    """(G,) guides of each gene that were told rightly, and all of them."""
    right = said == task.labels
    return np.bincount(task.gene, weights=right).astype(float), np.bincount(task.gene).astype(float)


def _resampled(said: Labels, task: _Task, seed: int) -> Matrix:
    """(resamples, K) recalls, with the genes of each group drawn with replacement."""
    hits, guides = _by_gene(said, task)
    # One generator for all groups: they are drawn independently, and alike for every space.
    generator = np.random.default_rng(seed)
    members = [task.group_of_gene == k for k in range(len(task.groups))]
    return np.column_stack([resampled_recall(hits[inside], guides[inside], generator) for inside in members])


def resampled_recall(hits: Matrix, guides: Matrix, generator: np.random.Generator) -> Matrix:
    """(resamples,) recall of one group whose genes are drawn with replacement.

    Args:
        hits, guides: (G,) guides of each gene that were told rightly, and all of them.
        generator: Equal ones draw equal genes, so that two spaces can be compared draw by draw.
    """
    drawn = generator.integers(0, len(hits), (RESAMPLES, len(hits)))
    recall: Matrix = hits[drawn].sum(axis=1) / guides[drawn].sum(axis=1)
    return recall


def _against(value: float, null: Matrix) -> dict[str, float]:
    # Rounded, so that equal recalls summed in another order stay equal.
    reached = int((np.round(null, 12) >= np.round(value, 12)).sum())
    p = (reached + 1) / (len(null) + 1)
    return {"null_mean": float(null.mean()), "null_p95": float(np.percentile(null, 95)), "p": p}


def _interval(draws: Matrix) -> dict[str, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def _scope(task: _Task) -> str:
    sizes = np.bincount(task.group_of_gene)
    groups = first_few([f"{name} {size}" for name, size in zip(task.groups, sizes, strict=True)], 20)
    return (
        f"Judged {len(task.rows):,} guides of {len(task.genes):,} genes in {len(task.groups)} groups ({groups}), "
        f"in {task.n_folds} folds of whole genes."
    )
