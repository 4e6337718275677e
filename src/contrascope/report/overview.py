"""What the results come to, in a few sentences, each a pure function of the results and of thresholds that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import ClassVar, NamedTuple

import pandas as pd

from contrascope.benchmarks.held_out import CONTROLS_TRAINED_ON, HELD_OUT, N_HELD_OUT, P_HELD_OUT
from contrascope.benchmarks.novelty import CONTROLS_BEYOND
from contrascope.benchmarks.result import CHANCE, METRIC, SPACE, VALUE, Result
from contrascope.benchmarks.significance import LEVEL
from contrascope.errors import first_few
from contrascope.report.verdicts import NOVEL, SHIFTED, kind_of_effect, per_cent, space_without_hit, unbroken
from contrascope.vocabulary import BACKGROUND, CELLPROFILER, COMBINED, INTENSITY, SALIENT, UNTRAINED

Results = Mapping[str, Result]
HARDLY, WELL = 0.6, 0.75
"""AUROC of batch up to which it can hardly be read, and from which it can be read well."""
_BASELINES, _OURS = (UNTRAINED, INTENSITY, CELLPROFILER), (SALIENT, COMBINED, BACKGROUND)
_OTHERS = " The others may have effects that are too small to see in this many cells, or that the model does not see."
_TOO_MANY = 0.15
"""Share of control guides at p <= .05 from which p is said to be too small: thrice what chance gives."""


@dataclass(frozen=True)
class Sentences:
    """A list of sentences on the page."""

    texts: tuple[str, ...]
    scripts: ClassVar[tuple[str, ...]] = ()

    def html(self) -> str:
        """A list, texts escaped."""
        return f'<ul class="said">{"".join(f"<li>{escape(unbroken(text))}</li>" for text in self.texts)}</ul>'


def overview(results: Results, frame: pd.DataFrame, *, unanswered: Mapping[str, str] | None = None) -> list[str]:
    """The few numbers that matter, and what they mean.

    Args:
        results: The benchmarks that were asked.
        frame: Of ``perturbation_frame``.
        unanswered: Benchmark -> why it was left out.
    """
    why = unanswered or {}
    said = [*_hits(results, frame, why), *_novel(frame), *_batch(results), *_complexes(results), *_dose(results)]
    return [text for text in said if text]


def _hits(results: Results, frame: pd.DataFrame, why: Mapping[str, str]) -> list[str]:
    salient, background = _flags(frame, "hit"), _flags(frame, "hit_background")
    known = frame["hit"].notna() | frame["hit_background"].notna()
    if not known.any():
        reason = why.get("hits", "")
        return [f"Which perturbations do anything was not asked. {reason}".strip()]
    either, count = int((salient | background).sum()), len(frame)
    how, where = _how(frame), ""
    if frame["hit_background"].notna().any():
        where = f": {int((salient & background).sum())} in both spaces, {int((salient & ~background).sum())} in the "
        where += f"salient space alone, {int((background & ~salient).sum())} in the background alone"
    if either == 0:
        said = [f"None of {count:,} perturbations can be told from controls ({how})."]
    else:
        said = [
            f"{either:,} of {count:,} perturbations do something to the cells ({how}){where}.{_unpermuted(frame)}"
            + (_OTHERS if either < count else "")
        ]
    return (
        said
        + _held_out(frame)
        + _measured(frame, salient | background)
        + ([] if "q_cells" in frame else _distrusted(results))
    )


def _unpermuted(frame: pd.DataFrame) -> str:
    """Hits that count by the size of their effect, where others were judged by permutations."""
    if not _known(frame, "q_cells"):
        return ""
    hits = _flags(frame, "hit") & frame["q_cells"].isna()
    names = first_few(frame.index[hits], 8)
    return f" {names}: by the size of the effect alone, as too few cells could be permuted." if hits.any() else ""


def _held_out(frame: pd.DataFrame) -> list[str]:
    """How many hits are there in cells that the model was not trained on, and how much of their effects."""
    if not _known(frame, P_HELD_OUT):
        return []
    hits = frame[_flags(frame, "hit") & frame[P_HELD_OUT].notna()]
    if hits.empty:
        return []
    seen, shares = hits[P_HELD_OUT] <= LEVEL, hits[HELD_OUT].dropna()
    where = " in the salient space" if frame["hit_background"].notna().any() else ""
    each = f"(p ≤ .05, {hits[N_HELD_OUT].median():.0f} cells each in the median)"
    count = f"All {len(hits):,} hits{where} are" if seen.all() else f"Of {len(hits):,} hits{where}, {seen.sum():,} are"
    said = f"{count} seen in cells that the model was not trained on as well {each}"
    if not seen.all():
        said += f"; not {first_few(hits.index[~seen], 8)}"
    if len(shares):
        least = f"{per_cent(shares.min())} of {shares.idxmin()}"
        said += (
            f". Of all {len(shares):,}, held-out cells show {per_cent(shares.median())} of the effect that the other "
            f"cells have (median; least {least})"
        )
    if not seen.all():
        said += (
            ". Few cells are held out, so a weak effect may not show in them; or the model has learned cells by heart"
        )
    return [f"{said}."]


def _measured(frame: pd.DataFrame, seen: pd.Series) -> list[str]:
    """What CellProfiler's features see besides, and what they do not."""
    if not frame["hit_measured"].notna().any():
        return []
    measured = _flags(frame, "hit_measured")
    missed, alone = frame.index[measured & ~seen], frame.index[seen & ~measured]
    more = (
        f"{len(missed):,} more that the model misses: {first_few(missed, 8)}" if len(missed) else "none that it misses"
    )
    fewer = f"do not see {len(alone):,} of its hits: {first_few(alone, 8)}" if len(alone) else "see all its hits"
    return [f"CellProfiler's features see {more}; they {fewer}."]


def _how(frame: pd.DataFrame) -> str:
    asked = [words for name, words in (("q_cells", "cells"), ("q_guides", "guides")) if _known(frame, name)]
    if asked:
        return f"q ≤ {LEVEL:g} by permuted {' and by permuted '.join(asked)}".replace("0.", ".")
    beyond = ", beyond 95 % of control guides" if _known(frame, "controls_beyond") else ""
    return f"q ≤ {LEVEL:g} by the size of the effect against control cells{beyond}".replace("0.", ".")


def _distrusted(results: Results) -> list[str]:
    """Where p comes of control cells alone: whether control guides have small p as well."""
    rows = _numbers(results, "novelty", CONTROLS_BEYOND)
    many = [space for space in (SALIENT, BACKGROUND) if space in rows and rows[space].value >= _TOO_MANY]
    if not many:
        return []
    shares = " and ".join(f"{per_cent(rows[space].value)} in the {space} space" for space in many)
    return [
        f"Of control guides, {shares} have p ≤ .05 too, where chance gives 5 %: guides or wells differ for reasons of "
        "their own, so p alone is no reason to believe a small effect."
    ]


def _novel(frame: pd.DataFrame) -> list[str]:
    if not {"novelty_low", "novelty_high"} <= set(frame):
        return []
    hits = frame[_flags(frame, "hit") | _flags(frame, "hit_background")]
    if hits.empty:
        return []
    rows = hits.to_dict("records")
    kinds = [kind_of_effect(row) for row in rows]
    novel, shifted = kinds.count(NOVEL), kinds.count(SHIFTED)
    unsaid = sum(space_without_hit(row) is not None for row in rows)
    between = f"{len(hits) - novel - shifted:,} in between"
    if unsaid:
        between += f", among them {unsaid:,} that would be one of the two by the share, but not by a hit where it lies"
    return [
        f"Of these {len(hits):,}, {novel:,} {'is' if novel == 1 else 'are'} novel rather than shifted (at least two "
        f"thirds of the effect are salient, the whole 95 % interval is above a half, and it is a hit there), "
        f"{shifted:,} {'shifts' if shifted == 1 else 'shift'} cells to where controls are as well (at most one third, "
        f"the interval below a half, and a hit in the background), and {between}. "
        "Half is the average of this screen's perturbations, so the words compare perturbations with each other."
    ]


def _batch(results: Results) -> list[str]:
    rows = _numbers(results, "artifacts", "batch AUROC")
    if not rows:
        return []
    if SALIENT not in rows:
        return [f"Batch can be read from the background space with AUROC {_two(rows, BACKGROUND)} (chance .50)."]
    auroc = round(rows[SALIENT].value, 2)  # as it is printed beside the thresholds
    if auroc < HARDLY:
        read, level = "can hardly be read", f"below {_of(HARDLY)}"
        meaning = "There, perturbations hardly differ because of their batches."
    elif auroc < WELL:
        read, level = "can be read in part", f"{_of(HARDLY)} to {_of(WELL)}"
        meaning = (
            "Perturbations in different batches may look different for that reason alone, which is why hits are judged "
            "within batches."
        )
    else:
        read, level = "can be read well", f"{_of(WELL)} or more"
        meaning = (
            "The salient space should be free of it. Compare perturbations within batches, and do not trust that those "
            "of one batch look alike."
        )
    if by_heart := [note for note in results["artifacts"].notes if note.startswith(CONTROLS_TRAINED_ON)]:
        # That little is read from such controls says nothing of perturbed cells; that much is, does.
        meaning = " ".join([*([meaning] if auroc >= HARDLY else []), "Controls alone were asked.", by_heart[0]])
    beside = f"; background {_two(rows, BACKGROUND)}" if BACKGROUND in rows else ""
    return [
        f"The batch of a cell {read} from the salient space: AUROC {_of(auroc)} ({level}), chance .50{beside}. "
        f"{meaning}"
    ]


def _complexes(results: Results) -> list[str]:
    if "complexes" not in results:
        return []
    rows = _numbers(results, "complexes", "average precision")
    ours, baselines = [s for s in _OURS if s in rows], [s for s in _BASELINES if s in rows]
    if not ours:
        return []
    best = max(ours, key=lambda space: rows[space].value)
    value = rows[best].value
    usual = rows[best].chance
    found = f"average precision {_of(value)} in the {best} space, chance {_of(usual)}"
    if not baselines:
        return [f"Genes of one complex look alike: {found}. There is no baseline to compare with."]
    rival = max(baselines, key=lambda space: rows[space].value)
    interval = _interval(results["complexes"], best)
    beside = f"{found}; best baseline, {_NAMES[rival]}, {_of(rows[rival].value)}"
    draws = f" (95 % of draws of the complexes {_of(interval[0])} to {_of(interval[1])})" if interval else ""
    if value <= rows[rival].value:
        return [f"Complexes are found no better than by a baseline: {beside}."]
    if interval and interval[0] <= rows[rival].value:
        return [f"Complexes are found somewhat better than by baselines, but not beyond doubt: {beside}{draws}."]
    return [f"Genes of one complex look alike, more than baselines see: {beside}{draws}."]


_NAMES = {
    UNTRAINED: "the same network untrained",
    INTENSITY: "plain intensities",
    CELLPROFILER: "CellProfiler's features",
}


def _dose(results: Results) -> list[str]:
    rows = _numbers(results, "dose", "Spearman")
    ours, baselines = [s for s in _OURS if s in rows], [s for s in _BASELINES if s in rows]
    if not ours:
        return []
    best = max(ours, key=lambda space: rows[space].value)
    value = rows[best].value
    beside = "; ".join(f"{_NAMES[s]} {_of(rows[s].value)}" for s in baselines)
    follows = (
        "follow the dose" if value >= 0.7 else "follow the dose loosely" if value >= 0.4 else "hardly follow the dose"
    )
    return [
        f"Cells {follows}: Spearman {_of(value)} between dose and position from negative to positive controls, in the "
        f"{best} space (chance 0{'; ' + beside if beside else ''}). From .70 we say follow, below .40 hardly."
    ]


class _Number(NamedTuple):
    value: float
    chance: float


def _numbers(results: Results, name: str, metric: str) -> dict[str, _Number]:
    """Space -> what the headline of a benchmark says of a metric; nothing where it was not asked."""
    if name not in results:
        return {}
    table = results[name].headline
    rows = table[table[METRIC] == metric]
    return {
        str(space): _Number(float(value), float(chance))
        for space, value, chance in zip(rows[SPACE], rows[VALUE], rows[CHANCE], strict=True)
    }


def _interval(result: Result, space: str) -> tuple[float, float] | None:
    """Of the average precision of all complexes in one space."""
    table = result.table
    if not {"low", "high"} <= set(table):
        return None
    rows = table[(table[METRIC] == "average precision") & (table[SPACE] == space)].dropna(subset=["low", "high"])
    return (float(rows["low"].iloc[0]), float(rows["high"].iloc[0])) if len(rows) else None


def _flags(frame: pd.DataFrame, name: str) -> pd.Series:
    """(K,) whether a flag is set; one that is missing is not."""
    return frame[name].eq(True)


def _known(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().any())


def _two(rows: Mapping[str, _Number], space: str) -> str:
    return _of(rows[space].value)


def _of(value: float) -> str:
    """Two digits, without a leading nought: .73, 1.00."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
