"""What the report says of a screen: the words around tables and figures.

Each function turns one stage's outcome into a section. The words say what is seen, what would be seen by
chance, and what not to conclude.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from contrascope.benchmarks.result import Result
from contrascope.benchmarks.suite import side_by_side
from contrascope.report.cards import Cards
from contrascope.report.gathered import Gathered
from contrascope.report.maps import Maps
from contrascope.report.overview import Sentences
from contrascope.report.perturbations import PerturbationTable
from contrascope.report.report import Block, Fact, Picture, Section, Table, Text

_SPACES = (
    "The spaces are background: what controls vary in too; salient: what only perturbed cells have; combined: both "
    "side by side; untrained: the same network with random weights; intensity: mean, spread and percentiles of each "
    "channel. A space is worth something only where it beats the last two."
)
_RIVAL = (
    "cellprofiler: principal components of what CellProfiler measures in each cell, standardised on the controls of "
    "each batch. All spaces are judged on the cells that could be measured."
)
_CHANCE = (
    "Each question below is put to each space. Beside every number stands what an embedding that knows nothing would "
    "reach; a number near its chance level says nothing, however high it looks."
)
_QUESTIONS = {
    "complexes": (
        "Do genes of one complex look alike?",
        "Profiles of genes whose products work in one complex should be similar. Precision and recall follow the "
        "paper: a pair counts as found when its cosine distance lies in either tail of all "
        "distances. Average precision "
        "ranks pairs by similarity alone; its chance level is what shuffled gene names reach.",
        "Left: the paper's sweep over thresholds, with chance dotted. Right: average precision of each space, with the "
        "level that shuffled gene names reach. Whiskers: 95 % of draws of the complexes.",
    ),
    "artifacts": (
        "Can technical conditions be read from the embedding?",
        "A logistic regression tries to tell the batch (plate and well) of a cell, its position in the field, and "
        "whether its tile lies at the well's edge. The better it does, the more technical "
        "variation is in the space. The background space is meant to hold it; the salient space should stay near "
        "chance. Cells at the edge of a well really are smaller and denser, so not all that is read is an artefact. "
        "By tile: the same on tiles that the regression has not seen; where it is far lower, it had recognised the "
        "tiles. kNN same: how often a cell's "
        "nearest neighbours are of its own batch.",
        "How well each condition is read from each space. Black: chance. Diamonds: unseen tiles, with the lowest "
        "and the highest of five parts. Thin lines on neighbours: 95 % of what resampled tiles give.",
    ),
    "dose": (
        "Does the profile move with the dose?",
        "An axis from negative to positive control wells is fitted on one part of the plate, and "
        "wells of the other part "
        "are projected on it: 0 is where the negative controls of the first part lie, 1 the positive ones.",
        "Projection of each well of the part that is measured against its dose, a point a well; the title says which "
        "part that is and which the axis was fitted on. Shaded, mean and one standard deviation: blue the negative, "
        "orange the positive controls of the part that is measured.",
    ),
    "functions": (
        "Can the function of a gene be read from its guides?",
        "A logistic regression learns the functional groups from guide profiles of some genes and is asked about "
        "guides of other genes, so that knowing a gene does not help. Balanced accuracy is the mean share of a group's "
        "guides that are assigned correctly.",
        "Above: each row is a group, and how its guides were assigned. Below: balanced accuracy beside what permuted "
        "groups reach, and the groups that one space tells better than the other, with 95 % of resampled genes.",
    ),
    "stages": (
        "Can the stage of a control cell be read from the embedding?",
        "A logistic regression tries to tell the cell-cycle stage of controls. The cycle is what cells go through "
        "anyway, so the background space should hold it. The salient one should not; of controls that the model was "
        "trained on it says less than of other cells.",
        "How well each stage is told on held-out controls. Black lines: chance.",
    ),
    "mitosis": (
        "Is the effect of mitotic genes in the background?",
        "A perturbation that arrests cells in mitosis moves them to where controls are as well: much of its effect "
        "should be in the background space. The relative background norm says how much; the mitotic index only counts "
        "mitotic cells.",
        "Telling known mitotic genes from all others. Right: the area under each curve, with 95 % of resampled genes.",
    ),
    "explained": (
        "Is a phenotype made of what controls vary in anyway?",
        "How much of the first principal component of controls do the features explain in which the cells of a group "
        "differ from controls, strongest first? Shifts in what controls vary in explain much, novel phenotypes little; "
        "chance is as many features at random.",
        "Explained share by the number of top features; dotted where no more features differ. Grey: random features.",
    ),
    "novelty": (
        "Which effects are more than chance, and which of them are novel?",
        "The size of each perturbation's effect, without what noise adds to it, and the share of it that lies in the "
        "salient space: near 1 a phenotype that controls do not have, near 0 one within what controls vary in.",
        "Left: effects in both spaces, in multiples of their mean, with control guides. Right: salient shares with "
        "95 % intervals.",
    ),
    "hits": (
        "Which perturbations do anything at all?",
        "The cells of each perturbation are compared with controls of their batches. Cells permuted: labels are "
        "permuted among the cells of a batch. Guides permuted: the perturbation's guides, one by one, against control "
        "guides, which differ too although they do nothing. Retrieval: its guides find each other before they find "
        "control guides. The share with p up to .05 is 5 % where nothing does anything; q is Benjamini-Hochberg over "
        "perturbations.",
        "A point a perturbation, by its distance from the controls; filled are hits. Grey: where control guides lie.",
    ),
}


def overview_section(sentences: Sequence[str]) -> Section:
    """The results in words."""
    return Section("In words", [Sentences(tuple(sentences))])


def perturbations_section(frame: pd.DataFrame, gathered: Gathered) -> Section:
    """The table of perturbations and their cards."""
    cards, facts = Cards(frame, gathered), gathered.facts
    table = PerturbationTable(frame, space=str(facts["space"]), no_agreement=str(facts["no_agreement"]))
    return Section("Perturbations", [table, *(Text(text) for text in cards.said()), cards])


def went_in(account: str, dropped: pd.DataFrame, counts: pd.DataFrame) -> Section:
    """What was stored, and what was left out and why."""
    blocks: list[Block] = [
        Text(f"Every row of the cell table is accounted for: {account}."),
        Table(dropped, "Cells by what became of them."),
        Table(counts, "Cells by perturbation; the rarest and the most frequent.", decimals=0),
    ]
    return Section("What went in", blocks)


COUNTERFACTUALS = "counterfactuals"
"""Name of the figure that shows what a perturbation does; a model without salient space has none."""
EMPTY = 0.01
"""Share of a space's variance in the means below which it hardly tells cells apart."""


def cells_section(figures: Path) -> Section:
    """Example cells, what the model keeps of them, and what it attributes to their perturbation."""
    counterfactuals = Picture(
        figures / f"{COUNTERFACTUALS}.png",
        "What the model attributes to a perturbation: for each one above, the first cell of its card, which is well "
        "along its effect (more so than five in six of its cells), as the model decodes it; without its salient "
        "part; and as a control, without what the perturbation shifts in the background space on average either. "
        "The last is what the model makes of the cell without its perturbation. The difference between the first "
        "and the last is orange where the perturbation adds light and blue where it takes some away, amplified as "
        "its title says: ten times or more means that the decoder draws little of it. The model's range brightens "
        "faint light, and a decoded image is smoother than a cell.",
    )
    return Section(
        "Cells",
        [
            Picture(
                figures / "cells.png",
                "Cells picked at random: controls in the first row, then perturbations in the order of how far their "
                "profile lies from the controls in the salient space (the farthest first). They are drawn from the "
                "stored pixels, at the contrast of the cards and maps.",
            ),
            Picture(
                figures / "reconstructions.png",
                "Held-out cells and what the model decodes from their posterior means. Contrast is "
                "equal within a pair. "
                "What is missing on the right is not in the embedding.",
            ),
            *([counterfactuals] if counterfactuals.path.exists() else []),
        ],
    )


def training_section(outcome: Mapping[str, Any], figures: Path, *, in_means: float | None = None) -> Section:
    """How the training went.

    Args:
        outcome: As ``run.json`` has it.
        figures: The folder with its picture.
        in_means: Share of the salient variance that is of the posterior means; None where it was not logged.
    """
    ending = "stopped early, as validation no longer improved" if outcome["stopped_early"] else "ran to its end"
    return Section(
        "Training",
        [
            Text(
                f"Training {ending}: {outcome['steps']:,} steps, {outcome['cells_per_second']:,.0f} "
                f"cells a second. The "
                f"weights of step {outcome['best_step']:,} are kept, where the validation loss was lowest "
                f"({outcome['best_validation_loss']:,.1f} nats a cell, beta in full).{_emptiness(in_means)}"
            ),
            Picture(
                figures / "training.png",
                "KL is what a space costs, in nats a cell. In the background space that is what it holds: near 0 it "
                "has collapsed. In the salient space most of it can be the price of narrow posteriors, which the leak "
                "asks for, so it says little by itself. The leak is what is left of controls in the salient space.",
            ),
        ],
    )


def _emptiness(in_means: float | None) -> str:
    """How much of the salient space tells cells apart, in a sentence."""
    if in_means is None:
        return ""
    said = f" Of the variance in the salient space, {100 * in_means:.2g} % tells cells apart; "
    said += "the rest is the posteriors' own."
    if in_means < EMPTY:
        said += " So that space is practically empty: believe nothing that is read from it."
    return said


def map_stills(figures: Path) -> list[Picture]:
    """UMAPs of both spaces as figures."""
    captions = {
        "umap_batch": "Coloured by batch. Islands of one colour mean that batches can be told apart.",
        "umap_field": "Coloured by the distance from the field's centre (0) to its border (1).",
        "umap_perturbation": "Coloured by perturbation: controls, and those farthest from them in the salient space.",
    }
    return [Picture(figures / f"{name}.png", text) for name, text in captions.items()]


def maps_section(maps: Maps) -> Section:
    """UMAPs of both spaces that can be moved, with the cells' pictures."""
    return Section("Maps", [Text("Distances within a UMAP measure nothing; the benchmarks below do."), maps])


def spaces_section(matched: Sequence[str] = ()) -> Section:
    """What the columns of all benchmarks are, and how rows of features were matched to the cells."""
    rival = [Text(_RIVAL), *(Text(note) for note in matched)] if matched else []
    return Section("What was asked of the embeddings", [Text(_SPACES), *rival, Text(_CHANCE)])


def benchmark_section(result: Result, folder: Path) -> Section:
    """One benchmark: its question, its headline beside chance, its figure."""
    question, meaning, caption = _QUESTIONS.get(result.name, (result.name, "", "The benchmark's figure."))
    blocks: list[Block] = [Text(meaning)] if meaning else []
    if (folder / f"{result.name}.png").exists():
        blocks.append(Picture(folder / f"{result.name}.png", caption))
    blocks.append(Table(side_by_side(result.headline)))
    blocks += [Text(note) for note in result.notes]
    return Section(question, blocks)


def unanswered_section(left_out: Mapping[str, str]) -> list[Section]:
    """The questions that these data did not allow; no section where there are none."""
    if not left_out:
        return []
    table = pd.DataFrame({"benchmark": list(left_out), "why it was left out": list(left_out.values())})
    return [
        Section(
            "What was not asked",
            [Table(table, "Questions that this screen does not allow, or that its file does not ask.")],
        )
    ]


def provenance_section(settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
    """Everything needed to do it again."""
    return Section(
        "Settings and provenance",
        [
            Text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True), mono=True),
            Text(yaml.safe_dump(dict(provenance), sort_keys=False, allow_unicode=True), mono=True),
        ],
    )


def headline_facts(account: Any, perturbations: pd.DataFrame, results: Mapping[str, Result]) -> list[Fact]:
    """The few numbers at the top of the page; ``perturbations`` are those of ``perturbation_frame``."""
    facts = [
        Fact(f"{account.stored:,}", f"cells stored of {account.rows:,} in the table"),
        Fact(f"{len(perturbations):,}", "perturbations compared with controls"),
    ]
    asked = perturbations[["hit", "hit_background"]].dropna(how="all")
    if len(asked):
        hits = int(asked.eq(True).any(axis=1).sum())
        facts.append(Fact(f"{hits:,}", f"of {len(asked):,} perturbations do something to the cells (hits)"))
    if "complexes" in results:
        facts.append(_best(results["complexes"], "average precision", "average precision of complexes"))
    if "artifacts" in results:
        facts += _of_each(results["artifacts"], "batch AUROC", "AUROC of batch from", ("background", "salient"))
    if "dose" in results:
        facts += _of_each(results["dose"], "Spearman", "Spearman with dose, from", ("salient",))
    return facts


def _best(result: Result, metric: str, label: str) -> Fact:
    rows = result.headline[result.headline["metric"] == metric]
    learned = rows[rows["space"].isin(["background", "salient", "combined"])]
    best, others = learned.sort_values("value").iloc[-1], rows.drop(learned.index).sort_values("value")
    beside = f", {others['space'].iloc[-1]} {others['value'].iloc[-1]:.2f}" if len(others) else ""
    return Fact(f"{best['value']:.2f}", f"{label} from {best['space']}; chance {best['chance']:.2f}{beside}")


def _of_each(result: Result, metric: str, label: str, spaces: tuple[str, ...]) -> list[Fact]:
    rows = result.headline[result.headline["metric"] == metric].set_index("space")
    return [
        Fact(f"{float(rows['value'][s]):.2f}", f"{label} {s}; chance {float(rows['chance'][s]):.2f}")
        for s in spaces
        if s in rows.index
    ]
