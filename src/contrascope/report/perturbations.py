"""A row a perturbation: what the benchmarks and the cards say of it, side by side, and as a table to sort and search.

Where a benchmark was not asked, its columns are left out, and a sentence says so. A number that is missing is an empty
field: it sorts behind all others, up or down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar
from urllib.parse import quote

import pandas as pd

from contrascope.benchmarks.held_out import HELD_OUT, N_HELD_OUT, P_HELD_OUT
from contrascope.benchmarks.hits_table import is_perturbation
from contrascope.benchmarks.novelty import CONTROL_NORM, MIN_JUDGED_GUIDES, NORM, SHARE
from contrascope.benchmarks.result import METRIC, SPACE, VALUE, Result
from contrascope.benchmarks.significance import LEVEL
from contrascope.profiles.agreement import BETWEEN
from contrascope.report.gathered import Gathered
from contrascope.vocabulary import BACKGROUND, CELLPROFILER, COMBINED, SALIENT

Row = Mapping[Any, Any]
TABLE_ID, CARDS_ID = "perturbation-table", "cards-of-perturbations"
_NOVELTY, _HITS = "novelty", "hits"
_SHARE = ("novelty", "novelty_low", "novelty_high")


@dataclass(frozen=True)
class Column:
    """A column of the table: its name in the frame, its heading, its digits, and what it says."""

    name: str
    heading: str
    decimals: int
    meaning: str


_COLUMNS = (
    Column("cells", "cells", 0, "cells of it in the screen"),
    Column("guides", "guides", 0, "guides, or wells, that it was done with"),
    Column(
        "effect", "effect", 2,
        "length of its profile in the {space} space without what noise adds to it; perturbations have 1 on average",
    ),
    Column(
        "effect_background", "background", 2,
        "the same in the background space; a shift within the variation of controls lies there",
    ),
    Column(
        "distance", "distance", 3,
        "energy distance of its cells from controls in the {space} space; 0 is none",
    ),
    Column("p_cells", "p, cells", 3, "how often labels permuted among cells give as large a distance ({space} space)"),
    Column("q_cells", "q, cells", 3, "p corrected for testing all: of those with q ≤ .05, 5 % are there by chance"),
    Column("q_guides", "q, guides", 3, "the same, with its guides permuted among control guides"),
    Column(
        P_HELD_OUT, "p, held-out", 3,
        "the same of cells that the model was not trained on, along the effect that the others have",
    ),
    Column("p_effect", "p, effect", 3, "how often as many control cells have as large an effect ({space} space)"),
    Column("q_effect", "q, effect", 3, "p corrected for testing all: of those with q ≤ .05, 5 % are there by chance"),
    Column(
        "controls_beyond", "controls beyond", 2,
        "share of control guides, each seen from the others, that have as large an effect",
    ),
    Column(
        "q_measured", "q, measured", 3,
        "of CellProfiler's features in place of the {space} space: the larger of q by cells and q by guides",
    ),
    Column(
        "novelty", "novelty", 2,
        "share of its effect that is salient, with 95 % intervals: above .5 more of it is new than of the screen's "
        "average perturbation, below .5 less; empty where no effect is seen",
    ),
    Column(
        "agreement", "agreement", 2,
        "mean cosine between the profiles of its guides; what guides of different perturbations have is on its card",
    ),
    Column("nearest", "nearest", 2, "the perturbation of the most similar profile, with the cosine; of effects alone"),
)  # fmt: skip


def perturbation_frame(gathered: Gathered, results: Mapping[str, Result]) -> pd.DataFrame:
    """All that is known of each perturbation.

    Args:
        gathered: What the cards are made of.
        results: The benchmarks that were asked; ``hits`` and ``novelty`` are looked at.

    Returns:
        Index the perturbations, hits before those that measurements alone see, and these before others, each with the
        strongest effects first. Columns as far as they are known: cells, guides, distance, p_cells, q_cells, q_guides,
        p_held_out, n_held_out, held_out, effect, p_effect, q_effect, and the same in the background
        (q_cells_background, ...) and by CellProfiler's features (q_cells_measured, ...), of which q_measured is the
        largest; controls_beyond, where p is of effects; novelty, novelty_low, novelty_high, of
        perturbations in which an effect is seen; agreement, agreement_chance, agreement_percentile; nearest,
        nearest_cosine; hit, hit_background, hit_measured (missing where nobody asked).
    """
    guides = gathered.tables["guides"]
    table = guides.groupby("perturbation").agg(cells=("cells", "sum"), guides=("guide", "size"))
    space = str(gathered.facts["space"])
    behind = BACKGROUND if space != BACKGROUND else ""  # a model of one space has nothing behind it
    for where, ending in ((space, ""), (behind, "_background"), (CELLPROFILER, "_measured")):
        table = table.join(_of_hits(results, where).add_suffix(ending)).join(
            _of_novelty(results, where).add_suffix(ending)
        )
        table[f"hit{ending}"] = [is_hit(row, ending) for row in table.to_dict("records")]
    if table["hit_measured"].notna().any():
        table["q_measured"] = [max(_asked(row, "_measured"), default=float("nan")) for row in table.to_dict("records")]
    table = table.join(_shares(results)).join(_agreement(gathered)).join(_nearest(gathered))
    for column in table.columns.intersection([*_SHARE, "nearest", "nearest_cosine"]):
        table[column] = table[column].mask(_without_effect(table))
    strength = _strength(table)
    either = [bool(a) or bool(b) for a, b in zip(table["hit"], table["hit_background"], strict=True)]
    measured = table["hit_measured"].eq(True)
    facts = {"hit": either, "measured": measured, "strength": strength.fillna(-1.0), "name": table.index}
    order = pd.DataFrame(facts, index=table.index)
    return table.loc[order.sort_values(list(facts), ascending=[False, False, False, True]).index]


def _strength(table: pd.DataFrame) -> pd.Series:
    """By which perturbations are ordered: the larger of their effects."""
    effects = table[[name for name in ("effect", "effect_background") if name in table]]
    return table.get("distance", pd.Series(0.0, table.index)) if effects.empty else effects.max(axis=1)


def is_hit(row: Row, ending: str = "") -> bool | None:
    """Whether a perturbation does something, by all that was asked of cells and of guides; None if nothing was.

    Permuted cells and permuted guides have to agree. Where nobody permuted, an effect has to be beyond those of control
    cells, and no more than 5 % of control guides may have as large a one.
    """
    permuted, asked = _known(row, f"q_cells{ending}", f"q_guides{ending}"), _asked(row, ending)
    beyond = [] if permuted else _known(row, f"controls_beyond{ending}")
    return all(q <= LEVEL for q in asked) and all(share <= LEVEL for share in beyond) if asked else None


def _asked(row: Row, ending: str) -> list[float]:
    """The q-values that decide: of permutations, or where nobody permuted, of the size of the effect."""
    return _known(row, f"q_cells{ending}", f"q_guides{ending}") or _known(row, f"q_effect{ending}")


def _without_effect(table: pd.DataFrame) -> pd.Series:
    """Perturbations that were asked about, and in which neither space of the model shows an effect."""
    flags = table[["hit", "hit_background"]]
    return flags.notna().any(axis=1) & ~flags.eq(True).any(axis=1)


def _known(row: Row, *names: str) -> list[float]:
    """Those of the numbers that are there."""
    return [float(row[name]) for name in names if name in row and not pd.isna(row[name])]


def _of_hits(results: Mapping[str, Result], space: str) -> pd.DataFrame:
    if _HITS not in results:
        return pd.DataFrame()
    table = results[_HITS].table
    rows = table[is_perturbation(table) & (table[SPACE] == space)].set_index("perturbation")
    columns = {VALUE: "distance"} | {name: name for name in ("p_cells", "q_cells", "q_guides")}
    columns |= {name: name for name in (P_HELD_OUT, N_HELD_OUT, HELD_OUT) if name in rows}  # results of older versions
    return rows[list(columns)].rename(columns=columns).dropna(axis="columns", how="all")


def _of_novelty(results: Mapping[str, Result], space: str) -> pd.DataFrame:
    if _NOVELTY not in results:
        return pd.DataFrame()
    table = results[_NOVELTY].table
    here = table[table[SPACE] == space]
    rows, controls = here[here[METRIC] == NORM].set_index("perturbation"), here[here[METRIC] == CONTROL_NORM][VALUE]
    found = rows[[VALUE, "p", "q"]].rename(columns={VALUE: "effect", "p": "p_effect", "q": "q_effect"})
    if len(controls) >= MIN_JUDGED_GUIDES:
        found["controls_beyond"] = [float((controls >= effect).mean()) for effect in found["effect"]]
    usual = found["effect"].mean()  # units of a space say nothing to a reader, and differ from space to space
    return found.assign(effect=found["effect"] / (usual if usual > 0 else 1.0))


def _shares(results: Mapping[str, Result]) -> pd.DataFrame:
    if _NOVELTY not in results:
        return pd.DataFrame()
    table = results[_NOVELTY].table
    rows = table[(table[METRIC] == SHARE) & (table[SPACE] == COMBINED)].set_index("perturbation")
    columns = dict(zip((VALUE, "low", "high"), _SHARE, strict=True))
    return rows[list(columns)].rename(columns=columns) if len(rows) else pd.DataFrame()


def _agreement(gathered: Gathered) -> pd.DataFrame:
    table = gathered.tables["agreement"]
    if not len(table):
        return pd.DataFrame()
    rows = table[table["metric"] == BETWEEN].set_index("perturbation")
    columns = {"value": "agreement", "chance": "agreement_chance", "percentile": "agreement_percentile"}
    return rows[list(columns)].rename(columns=columns)


def _nearest(gathered: Gathered) -> pd.DataFrame:
    table = gathered.tables["neighbours"]
    if not len(table):
        return pd.DataFrame()
    rows = table[table["place"] == 1].set_index("perturbation")
    columns = {"neighbour": "nearest", "cosine": "nearest_cosine"}
    return rows[list(columns)].rename(columns=columns)


@dataclass(frozen=True)
class PerturbationTable:
    """The table on the page.

    Attributes:
        frame: Of ``perturbation_frame``.
        space: The space that effects are told in.
        no_agreement: Why guides could not be compared; empty if they were.
    """

    frame: pd.DataFrame
    space: str = SALIENT
    no_agreement: str = ""
    scripts: ClassVar[tuple[str, ...]] = ("table.js",)

    @property
    def columns(self) -> list[Column]:
        """Those that anything is known in. Effects stand for distances, and their p for those of permutations."""
        known = [column for column in _COLUMNS if column.name in self.frame and self.frame[column.name].notna().any()]
        names = {column.name for column in known}
        unneeded = {"distance"} if "effect" in names else set()
        unneeded |= {"p_effect", "q_effect", "controls_beyond"} if "p_cells" in names else set()
        return [column for column in known if column.name not in unneeded]

    def html(self) -> str:
        """A plain table that scripts make sortable and searchable."""
        heads = "".join(_head(column) for column in self.columns)
        rows = "\n".join(self._row(str(name), row) for name, row in zip(self.frame.index, self._rows, strict=True))
        words = "".join(f"<dt>{escape(c.heading)}</dt><dd>{escape(self._meaning(c))}</dd>" for c in self.columns)
        left_out = "".join(f"<p>{escape(text)}</p>" for text in self.left_out())
        return (
            f'<div class="finder" hidden><label for="{TABLE_ID}-search">Find a perturbation</label> '
            f'<input id="{TABLE_ID}-search" type="search" autocomplete="off" spellcheck="false" '
            f'data-searches="{TABLE_ID}"> <span class="soft" role="status" data-counts="{TABLE_ID}"></span></div>\n'
            f'<a class="skip" href="#{CARDS_ID}">Skip to the cards</a>'
            f'<div class="scroll tall" tabindex="0" role="region" aria-label="Table of perturbations">'
            f'<table id="{TABLE_ID}" class="sortable"><thead><tr>{_head(_NAME)}{heads}</tr></thead>\n'
            f"<tbody>{rows}</tbody></table></div>\n"
            f'{left_out}<details><summary>What the columns say</summary><dl class="words">{words}</dl></details>'
        )

    def left_out(self) -> list[str]:
        """What the table does not say, and why."""
        names, found = {column.name for column in self.columns}, []
        if "p_cells" not in names and "p_effect" in names:
            found.append(
                "Hits were not asked for or could not be judged, so p and q are those of the size of the effect "
                "against pseudo-guides of control cells. Wells differ for other reasons too: a hit must also be beyond "
                "95 % of control guides."
            )
        if not names & {"p_cells", "p_effect"}:
            found.append("The table has no p-values: neither hits nor novelty could be asked of this screen.")
        if "novelty" not in names:
            found.append(f"The table has no novelty: {self._no_novelty()}.")
        if self.no_agreement:
            found.append(f"The table has no guide agreement. {self.no_agreement}")
        return found

    def _no_novelty(self) -> str:
        if "novelty" not in self.frame:
            return "it takes both spaces and the benchmark novelty"
        flags = self.frame[["hit", "hit_background"]]
        unseen = flags.notna().any(axis=None) and not flags.eq(True).any(axis=None)
        return f"it is the share of an effect, and {'there are no hits' if unseen else 'no effect is beyond noise'}"

    @property
    def _rows(self) -> list[dict[str, Any]]:
        return [{str(key): value for key, value in row.items()} for row in self.frame.to_dict("records")]

    def _meaning(self, column: Column) -> str:
        return column.meaning.format(space=self.space)

    def _row(self, name: str, row: Mapping[str, Any]) -> str:
        cells = "".join(_cell(column, row) for column in self.columns)
        link = f'<a href="#{card_id(name)}">{escape(name)}</a>'
        return f'<tr data-name="{escape(name)}"><th scope="row">{link}</th>{cells}</tr>'


_NAME = Column("perturbation", "perturbation", 0, "")


def card_id(name: str) -> str:
    """The id of a perturbation's card, which its address ends with."""
    return f"perturbation-{quote(name, safe='')}"


def number(value: float, decimals: int) -> str:
    """A number with so many digits behind the point; an effect of less than the last one is not 0 but below it."""
    least = 10.0**-decimals
    return f"< {least:.{decimals}f}" if 0 < value < least and decimals else f"{value:,.{decimals}f}"


def _head(column: Column) -> str:
    kind = ' class="number"' if column.name not in ("perturbation", "nearest") else ""
    return f'<th scope="col"{kind}><button type="button">{escape(column.heading)}</button></th>'


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row[column.name]
    if pd.isna(value):
        return "<td></td>"
    if column.name == "nearest":
        return (
            f'<td data-value="{escape(str(value))}"><a href="#{card_id(str(value))}">{escape(str(value))}</a> '
            f'<span class="soft">{row["nearest_cosine"]:.2f}</span></td>'
        )
    text = number(float(value), column.decimals)
    if column.name == "novelty":
        text += f' <span class="soft">{row["novelty_low"]:.2f} to {row["novelty_high"]:.2f}</span>'
    return f'<td class="number" data-value="{float(value):.6g}">{text}</td>'
