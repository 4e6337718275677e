"""Makes docs/results.md: the demo on three seeds and, where it is at hand, BBBC013.

    python examples/results.py OUT          OUT keeps the analyses; what is done there is not done again
    CONTRASCOPE_BBBC013=FOLDER python examples/results.py OUT

The figures come from the same commands that a user runs; this script only gathers them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
SPACES = ["background", "salient", "combined", "untrained", "intensity"]
METRICS = [
    "average precision",
    "mean complex average precision, shifted",
    "mean complex average precision, novel",
    "batch AUROC",
    "field AUROC",
    "well AUROC",
]


def main() -> None:
    """Run what is missing, then write the page."""
    out = Path(sys.argv[1])
    sections = [demo_section(out)]
    if "CONTRASCOPE_BBBC013" in os.environ:
        sections.append(bbbc013_section(out / "bbbc013"))
    page = "# Results\n\nMade by `python examples/results.py OUT`; see there.\n\n" + "\n".join(sections)
    (HERE.parent / "docs" / "results.md").write_text(page)


def demo_section(out: Path) -> str:
    """The demo's benchmarks, a row a metric and space, a column a seed."""
    columns = {}
    for seed in SEEDS:
        folder = out / f"demo-{seed}"
        contrascope("demo", "--out", folder, "--seed", seed)
        columns[f"seed {seed}"] = headline(folder / "analysis", ["complexes", "artifacts"])
    table = pd.DataFrame({name: values["value"] for name, values in columns.items()})
    table["mean"] = table.mean(axis=1)
    table["chance"] = pd.DataFrame({name: values["chance"] for name, values in columns.items()}).mean(axis=1)
    wanted = [(metric, space) for metric in METRICS for space in SPACES if (metric, space) in table.index]
    return (
        "## The synthetic screen, three seeds\n\n"
        "`contrascope demo --seed SEED`: about 10,000 cells, 24 genes in 8 planted complexes, 4 inert ones, `mcvae`, "
        "preset `auto`. Each seed makes its own screen and its own weights.\n\n" + markdown(table.loc[wanted])
    )


def bbbc013_section(folder: Path) -> str:
    """The dose benchmark of the real plate, and the mean position at each dose."""
    contrascope("run", HERE / "bbbc013" / "screen.yaml", "--out", folder)
    rows = headline(folder, ["dose", "artifacts"])
    table = pd.read_csv(folder / "benchmarks" / "dose.csv")
    means = table[table["metric"] == "mean position"].pivot_table(index="dose", columns="space", values="value")
    means = means[[space for space in SPACES if space in means]]
    means.index = [f"{dose:g}" for dose in means.index]
    return (
        "## BBBC013, a real plate\n\n"
        "`contrascope run examples/bbbc013/screen.yaml`: axis from negative to positive control wells fitted on rows "
        "A-D (wortmannin), measured on rows E-H (LY294002).\n\n"
        + markdown(rows[["value", "chance"]])
        + "\nMean position of the test wells at each dose; negative controls of rows A-D lie at 0, positive at 1.\n\n"
        + markdown(means.rename_axis("dose"))
    )


def headline(folder: Path, benchmarks: list[str]) -> pd.DataFrame:
    """Headlines of several benchmarks by metric and space."""
    files = [folder / "benchmarks" / f"{name}_headline.csv" for name in benchmarks]
    return pd.concat([pd.read_csv(file) for file in files]).set_index(["metric", "space"])


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers to three digits."""
    frame = table.reset_index()
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * frame.shape[1]]
    for row in frame.itertuples(index=False):
        lines.append("| " + " | ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in row) + " |")
    return "\n".join(lines) + "\n"


def contrascope(*arguments: object) -> None:
    """A command of contrascope, as a user runs it."""
    subprocess.run([str(Path(sys.executable).parent / "contrascope"), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
