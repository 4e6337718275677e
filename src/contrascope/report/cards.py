"""The card of each perturbation: what is known of it in words, its cells beside controls, its neighbours, its guides.

Without scripts all cards stand below each other; with them one is shown at a time. Pictures are in the page for the
strongest perturbations only, so that the page stays small; those of all lie in the folder ``cards`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, ClassVar

import pandas as pd

from contrascope.figures.card_sheets import (
    AS_CONTROL,
    CELLS,
    DECODED,
    DIFFERENCE,
    FAINT,
    GAP,
    MATCHED,
    OTHER,
    PART_GAP,
    RANDOM,
    UNCHOSEN,
    WITHOUT,
)
from contrascope.figures.composite import colour_key
from contrascope.profiles.examples import MARKED
from contrascope.report.gathered import Gathered
from contrascope.report.perturbations import CARDS_ID, card_id
from contrascope.report.verdicts import unbroken, verdict

PICTURED = 60
"""Cards with pictures in the page, at most."""


@dataclass(frozen=True)
class Cards:
    """All cards.

    Attributes:
        frame: Of ``perturbation_frame``: their order, and what the words are made of.
        gathered: Their tables and pictures.
        pictured: So many of them have their pictures in the page.
    """

    frame: pd.DataFrame
    gathered: Gathered
    pictured: int = PICTURED
    scripts: ClassVar[tuple[str, ...]] = ("cards.js", "enlarge.js")

    def html(self) -> str:
        """The cards, the strongest first."""
        rows = [{str(key): value for key, value in row.items()} for row in self.frame.to_dict("records")]
        cards = "\n".join(
            self._card(str(name), row, pictured=place < self.pictured)
            for place, (name, row) in enumerate(zip(self.frame.index, rows, strict=True))
        )
        turn = "".join(
            f'<button type="button" data-turn="{step}" aria-keyshortcuts="{key}">{word}</button>'
            for step, word, key in ((-1, "← Previous", "ArrowLeft"), (1, "Next →", "ArrowRight"))
        )
        return (
            f'<div class="cards" id="{CARDS_ID}" tabindex="-1"><div class="turning" hidden>{turn} '
            f'<span role="status"><b></b> <span class="soft place"></span></span></div>\n{cards}</div>'
        )

    def said(self) -> list[str]:
        """How to read the cards."""
        facts, count = self.gathered.facts, len(self.frame)
        there = min(self.pictured, count)
        own = self.gathered.tables["cells"]["own_batch"].mean()
        batch = "of the same batch" if own == 1 else "of any batch, as batches have too few controls"
        batch = "of the same batch where that has enough controls" if 0 < own < 1 else batch
        bar = f" The white bar is {facts['bar_um']:g} µm." if facts["bar_um"] else ""
        decoded = (
            " Decoded: the cell as the model draws it; without its salient part; and as a control, without what the "
            "perturbation shifts in the background on average either. These are in the model's own range, which "
            "brightens faint light, and at a contrast of their own; what it draws is smoother than a cell. Difference, "
            "of the first and the last: orange where the perturbation adds light, blue where it takes some away, "
            f"amplified as written. Where that had to be {FAINT} times or more, the four rows are left out, "
            "and the card says so: the model knows of a difference that it hardly draws."
        )
        return [
            "Marked cells lie well along the perturbation's effect (around its 85th percentile): they show what it "
            "does, not how often. Typical cells are those nearest to the mean of its cells in the "
            f"{facts['space']} space; where only some cells respond, these show little. Matched controls are those "
            f"most like the cell above in the background space, {batch}: about the same size, stage and density, so "
            "what is left is new. The cells at random, of the perturbation and of controls, were not chosen: how many "
            "cells respond, and how far all are shifted, is judged by comparing these two rows."
            + decoded
            * (facts["space"] != "background"),
            f"Cells are drawn from the stored pixels, at the same contrast on all cards and in the maps. "
            f"Colours of composites: {colour_key(facts['channels'])}.{bar} "
            + (
                f"The {there:,} cards of the strongest effects have their pictures here, hits first; those of all "
                f"{count:,} lie in the folder cards."
                if there < count
                else "The pictures and the rows of their cells also lie in the folder cards."
            ),
        ]

    def _card(self, name: str, row: Mapping[str, Any], *, pictured: bool) -> str:
        altered = self._of("altered").get(name, pd.DataFrame())
        pairs = list(zip(altered["gloss"], altered["change"], strict=True)) if len(altered) else []
        cells = self._of("cells").get(name, pd.DataFrame({"kind": []}))
        words = verdict(
            name,
            row,
            space=str(self.gathered.facts["space"]),
            altered=pairs,
            marked=bool((cells["kind"] == MARKED).any()),
        )
        pictures = self._pictures(name, cells) if pictured else _unpictured(name, cells)
        return (
            f'<article class="card" id="{card_id(name)}" data-name="{escape(name)}" tabindex="-1">'
            f"<h3>{escape(name)}</h3><p>{escape(unbroken(' '.join(words)))}</p>"
            f'{pictures}<div class="aside">{self._neighbours(name)}{self._guides(name)}</div></article>'
        )

    def _pictures(self, name: str, cells: pd.DataFrame) -> str:
        sheets = self._of("pictures").get(name, pd.DataFrame())
        if sheets.empty:
            return ""
        views = sheets["view"].tolist()
        buttons = "".join(
            f'<button type="button" data-view="{escape(view)}" aria-pressed="{str(not view).lower()}">'
            f"{escape(view or 'all side by side')}</button>"
            for view in ["", *views]
        )
        group = f'<div class="views" role="group" aria-label="Channels shown" hidden>{buttons}</div>' * (len(views) > 1)
        figures = "".join(self._figure(name, sheet, cells["kind"].tolist()) for sheet in sheets.to_dict("records"))
        return f'{group}<div class="sheets">{figures}</div>{_too_faint(sheets)}'

    def _figure(self, name: str, sheet: Mapping[Any, Any], kinds: Sequence[str]) -> str:
        """One sheet, with its rows named on its left and its columns above."""
        labels, tracks = _labels(name, sheet)
        parts, height = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}, int(sheet["height"])
        width = (int(sheet["width"]) - (PART_GAP - GAP) * (len(parts) - 1) + GAP) / len(kinds)
        heads = "".join(
            f'<span style="flex:{count * width:.0f}">{escape(kind)}</span>' for kind, count in parts.items()
        )
        alt = f"{sheet['view']} of {len(kinds)} cells of {name} beside controls"
        return (
            f'<figure class="sheet" data-view="{escape(str(sheet["view"]))}" '
            f'style="--natural: {int(sheet["width"])}px">'
            f"<figcaption>{escape(str(sheet['view']))}</figcaption>"
            f'<div class="kinds">{heads}</div><div class="rows" style="grid-template-rows:{tracks}">{labels}</div>'
            f'<img loading="lazy" decoding="async" width="{sheet["width"]}" height="{height}" '
            f'src="{self.gathered.source(str(sheet["file"]))}" alt="{escape(alt)}"></figure>'
        )

    def _neighbours(self, name: str) -> str:
        rows = self._of("neighbours").get(name)
        if rows is None:
            return ""
        pairs = zip(rows["neighbour"], rows["cosine"], strict=True)
        lines = "".join(
            f'<tr><th scope="row"><a href="#{card_id(other)}">{escape(other)}</a></th><td>{cosine:.2f}</td></tr>'
            for other, cosine in pairs
        )
        return (
            '<table><caption>Most alike</caption><thead><tr><th scope="col">perturbation</th>'
            f'<th scope="col">cosine</th></tr></thead><tbody>{lines}</tbody></table>'
        )

    def _guides(self, name: str) -> str:
        rows = self._of("guides").get(name)
        if rows is None:
            return ""
        lines = "".join(
            f'<tr><th scope="row">{escape(row["guide"])}</th><td>{int(row["cells"]):,}</td>'
            f"<td>{_blank(row['effect'], '.1f')}</td><td>{_blank(row['cosine'], '.2f')}</td></tr>"
            for row in rows.to_dict("records")
        )
        return (
            "<table><caption>Guides. Effect: in multiples of the median control guide's, which guides of fewer cells "
            "exceed by chance; "
            "cosine: with the mean of the others"
            '</caption><thead><tr><th scope="col">guide</th><th scope="col">cells</th><th scope="col">effect</th>'
            f'<th scope="col">cosine</th></tr></thead><tbody>{lines}</tbody></table>'
        )

    def _of(self, table: str) -> dict[str, pd.DataFrame]:
        return self._by_name[table]

    @cached_property
    def _by_name(self) -> dict[str, dict[str, pd.DataFrame]]:
        return {table: self.gathered.by_name(table) for table in self.gathered.tables}


def _labels(name: str, sheet: Mapping[Any, Any]) -> tuple[str, str]:
    """Names of a sheet's rows, and the heights of their places, with the gap above the cells that nobody chose."""
    rows, gap = str(sheet["rows"]).split(), PART_GAP - GAP
    row = (int(sheet["height"]) - gap) / len(rows)
    spans, tracks = [], []
    for place, (what, text) in enumerate(zip(rows, _row_names(name, sheet), strict=True)):
        if place and what in UNCHOSEN and rows[place - 1] not in UNCHOSEN:
            spans.append("<span></span>")
            tracks.append(f"{gap / row:.3f}fr")
        spans.append(f"<span>{escape(text)}</span>")
        tracks.append("1fr")
    return "".join(spans), " ".join(tracks)


def _row_names(name: str, sheet: Mapping[Any, Any]) -> list[str]:
    words = {
        CELLS: name,
        MATCHED: "matched controls",
        RANDOM: f"{name} at random",
        OTHER: "controls at random",
        DECODED: "decoded",
        WITHOUT: "without salient part",
        AS_CONTROL: "as a control",
        DIFFERENCE: f"difference ×{float(sheet['amplification']):g}",
    }
    return [words[row] for row in str(sheet["rows"]).split()]


def _too_faint(sheets: pd.DataFrame) -> str:
    """The channels in which the decoder draws too little of the difference, as a sentence."""
    asked = sheets[sheets["amplification"].astype(float) > 0]
    faint = asked[asked["amplification"].astype(float) >= FAINT]["view"].tolist()
    if not faint:
        return ""
    where = "any channel" if len(faint) == len(asked) else ", ".join(faint)
    said = f"The decoder draws no difference in {where} that could be shown: believe the cells."
    return f'<p class="soft">{escape(said)}</p>'


def _unpictured(name: str, cells: pd.DataFrame) -> str:
    """Where the pictures are; the rows of the cells let a live view show them."""
    rows = f' data-cells="{_joined(cells["row"])}" data-controls="{_joined(cells["control"])}"' if len(cells) else ""
    return f'<p class="soft unpictured"{rows}>The pictures of {escape(name)} lie in the folder cards.</p>'


def _joined(rows: pd.Series) -> str:
    return " ".join(str(int(row)) for row in rows)


def _blank(value: float, digits: str) -> str:
    return "" if pd.isna(value) else format(value, digits)
