"""Makes docs/results.md: the demo on three seeds, every model on them, and, where it is at hand, BBBC013.

    python examples/results.py OUT                      OUT keeps the analyses; what is done there is not done again
    python examples/results.py OUT demo bbbc013         these sections alone; the others stay on the page as they are
    CONTRASCOPE_BBBC013=FOLDER python examples/results.py OUT

The figures come from the same commands that a user runs; this script only gathers them. On two cores it takes three
hours, most of it for the models.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score

import contrascope as cs
from contrascope.config import CLEAN
from contrascope.profiles import averaged, centred, salient_share
from contrascope.profiles.beside import beside
from contrascope.profiles.together import together
from contrascope.tables import write_anndata

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
SPACES = ["background", "salient", "combined", "cellprofiler", "untrained", "intensity"]
FAMILY: dict[str, tuple[str, dict[str, object]]] = {
    "vae": ("vae", {}),
    "cvae": ("cvae", {}),
    "cvae-s": ("cvae-s", {}),
    "cvae-z": ("cvae-z", {}),
    "mcvae": ("mcvae", {}),
    "mcvae, settings of `clean`": ("mcvae", CLEAN),
    "mcvae, one encoder": ("mcvae", {"encoders": "shared"}),
    "three-space": ("three-space", {}),
}
RAW: dict[str, dict[str, object]] = {
    "mcvae, all sides, no controls taken off": {"salient_reference": "origin"},
    "mcvae, posterior means as they are": {"views": 1, "salient_reference": "origin"},
}
"""The same weights as mcvae's, embedded otherwise."""
OTHERS = {"vae": "vae", "cvae": "cvae", "three-space": "three-space", "mcvae, settings of `clean`": "clean"}
"""Models that stand beside CellProfiler, and their names there; mcvae's are the screen's own spaces."""
RIVALS = [
    "salient",
    "combined",
    "vae",
    "cvae salient",
    "cvae combined",
    "three-space salient",
    "three-space combined",
    "clean salient",
    "clean combined",
    "cellprofiler",
    "salient + cellprofiler",
    "clean salient + cellprofiler",
    "untrained",
    "intensity",
]
FEW_CELLS, DRAWS = (20, 40, 80, 160), 5
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
    out, wanted = Path(sys.argv[1]), sys.argv[2:] or list(SECTIONS)
    if "CONTRASCOPE_BBBC013" not in os.environ:
        wanted = [name for name in wanted if name != "bbbc013"]
    page = HERE.parent / "docs" / "results.md"
    _, *kept = page.read_text().split("\n## ") if page.exists() else [""]
    sections = {text.splitlines()[0]: text.strip() for text in kept}
    for name in wanted:
        title, make = SECTIONS[name]
        sections[title] = f"{title}\n\n{make(out)}".strip()
    texts = [sections[title] for title, _ in SECTIONS.values() if title in sections]
    head = "# Results\n\nMade by `python examples/results.py OUT`; see there.\n"
    page.write_text("\n## ".join([head, *(f"{text}\n" for text in texts)]))


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
        "`contrascope demo --seed SEED`: about 10,000 cells, 24 genes in 8 planted complexes, 4 inert ones, `mcvae`, "
        "preset `auto`. Each seed makes its own screen and its own weights.\n\n" + markdown(table.loc[wanted])
    )


def models_section(out: Path) -> str:
    """Every model on every seed: a row a model, a column a metric."""
    rows = {}
    for name, (model, changes) in (FAMILY | {name: ("mcvae", changes) for name, changes in RAW.items()}).items():
        each = [scores(out, seed, name, model, changes) for seed in SEEDS]
        rows[name] = pd.DataFrame(each).agg(across_seeds)
    table = pd.DataFrame(rows).T.rename_axis("model")
    return (
        "Mean over the three seeds, and in brackets each. The same cells, settings (`auto`) and number of steps for "
        "all, seen from all sides and, in the salient space, from controls of the same background, but for the last"
        " rows: the very same weights without that. `one space` is the salient space of a model that has one, else "
        "its only space. AP is the average precision of complexes. Novelty: how well the salient share of a gene's "
        "effect tells genes of novel complexes from those of shifted ones, as AUROC. Batch, field, stage: AUROC of "
        "reading them from a cell; stage is cell cycle, which all cells have, so it belongs in the background. Some"
        " perturbations hold cells in a stage, and of controls alone it is what a model has learned to say nothing of; "
        "what new cells on which nothing acts tell lies between "
        "([concepts](concepts.md#the-cell-cycle-can-be-read-from-the-salient-space)).\n\n" + markdown(table)
    )


def scores(out: Path, seed: int, name: str, model: str, changes: dict[str, object]) -> dict[str, float]:
    """What one model reaches on one seed."""
    screen, cells = out / f"demo-{seed}" / "screen", embedded(out, seed, name, model, changes)
    found = cs.benchmark(
        cs.profile(cells), "complexes", annotations=screen / "complexes.gmt", groups=kinds(screen)
    ).headline
    artefacts = cs.benchmark(cells, "artifacts", columns=["stage"]).headline
    headline = pd.concat([found, artefacts]).set_index(["metric", "space"])["value"]
    one = "salient" if "salient" in cells.obsm else "background"
    stages = cs.benchmark(cells, "stages", spaces=[one]).headline.set_index("metric")["value"]
    wanted = {"AP, one space": ("average precision", one), "AP, combined": ("average precision", "combined")}
    wanted |= {"AP, background": ("average precision", "background")}
    wanted |= {f"AP {kind}": (f"mean complex average precision, {kind}", one) for kind in ("novel", "shifted")}
    for target in ("batch", "field", "stage"):
        wanted |= {
            f"{target}, one space": (f"{target} AUROC", one),
            f"{target}, background": (f"{target} AUROC", "background"),
        }
    values = {column: float(headline.get(key, float("nan"))) for column, key in wanted.items()}
    return values | {"stage of controls, one space": float(stages["AUROC"]), "novelty": novelty(cells, screen)}


def embedded(out: Path, seed: int, name: str, model: str, changes: dict[str, object]) -> ad.AnnData:
    """The cells of a demo, embedded by one model; what was trained or embedded before is read."""
    analysis, file = out / f"demo-{seed}" / "analysis", out / "models" / f"{name} {seed}.h5ad"
    if name == "mcvae":
        return cs.read_anndata(analysis / "embedding" / "cells.h5ad")
    if not file.exists():
        store = cs.open_store(analysis / "cells.zarr")
        if name in RAW:
            run = cs.open_run(analysis / "runs" / "mcvae")
            run = type(run)(run.path, run.facts | {"settings": run.facts["settings"] | changes})
        else:
            run = cs.fit(store, model=model, out=file.with_suffix(""), seed=seed, **changes)
        write_anndata(cs.embed(store, run, baselines=False), file)
    return cs.read_anndata(file)


def novelty(cells: ad.AnnData, screen: Path) -> float:
    """AUROC of the salient share of an effect, genes of novel complexes against those of shifted ones."""
    if "salient" not in cells.obsm:
        return float("nan")
    share = salient_share(cells)["salient share"]
    kind = {gene: kinds(screen)[complex_] for complex_, genes in complexes(screen).items() for gene in genes}
    judged = [gene for gene in share.index if gene in kind]
    return float(roc_auc_score([kind[gene] == "novel" for gene in judged], share[judged]))


def kinds(screen: Path) -> dict[str, str]:
    """Complex -> novel or shifted, as planted."""
    return yaml.safe_load((screen / "screen.yaml").read_text())["benchmarks"]["complexes"]["groups"]


def complexes(screen: Path) -> dict[str, list[str]]:
    """Complex -> its genes."""
    lines = (screen / "complexes.gmt").read_text().splitlines()
    return {name: genes for name, _, *genes in (line.split("\t") for line in lines)}


def across_seeds(values: pd.Series) -> str:
    """Mean, and each in brackets."""
    if values.isna().all():
        return "-"
    return f"{values.mean():.2f} ({', '.join(f'{value:.2f}' for value in values)})"


def rival_section(out: Path) -> str:
    """CellProfiler's features beside the learned spaces, on the same cells."""
    each, few = [], []
    for seed in SEEDS:
        analysis, screen = out / f"demo-{seed}" / "analysis", out / f"demo-{seed}" / "screen"
        learned = cs.read_anndata(analysis / "embedding" / "cells.h5ad")
        cells, spaces = with_rival(out, f"demo-{seed}", analysis, learned, "batch", model_cells(out, seed))
        profiles = cs.profile(cells)
        found = [
            cs.benchmark(profiles, "complexes", annotations=screen / "complexes.gmt", spaces=spaces).headline,
            cs.benchmark(cells, "artifacts", spaces=spaces).headline,
        ]
        each.append(pd.concat(found).set_index(["metric", "space"])["value"])
        few += [precision_of_few(cells, spaces, screen, n, seed) for n in FEW_CELLS]
    table = pd.concat(each, axis=1, keys=[f"seed {seed}" for seed in SEEDS])
    wanted = ["average precision", "batch AUROC", "field AUROC", "well AUROC"]
    rows = table.loc[[(metric, space) for metric in wanted for space in RIVALS if (metric, space) in table.index]]
    text = (
        "`contrascope features STORE --features fast`, then `contrascope reduce-features` to 64 components, features "
        "in units of its batch's controls. All spaces are judged on the cells that could be measured; `clean` is "
        "mcvae with that preset, and `A + cellprofiler` both together, each with equal variance.\n\n"
    )
    text += markdown(rows.assign(mean=rows.mean(axis=1)))
    fewer = pd.concat(few, axis=1).T.groupby(level=0, sort=False).mean().T
    text += (
        "\nAverage precision with fewer cells: so many of each perturbation, all controls, mean over the seeds and "
        f"{DRAWS} draws of the cells each.\n\n" + markdown(fewer)
    )
    return text + (rival_on_bbbc013(out) if "CONTRASCOPE_BBBC013" in os.environ else "")


def precision_of_few(cells: ad.AnnData, spaces: list[str], screen: Path, n: int, seed: int) -> pd.Series:
    """Average precision of complexes from profiles of at most ``n`` cells of each perturbation, mean over draws."""
    generator, found = np.random.default_rng(seed), []
    names = cells.obs["perturbation"].astype(str).where(~cells.obs["control"], "").to_numpy()
    for _ in range(DRAWS):
        order = pd.Series(names[shuffled := generator.permutation(len(names))])
        few = shuffled[(order.groupby(order).cumcount() < n) | (order == "")]
        profiles = cs.profile(cells[np.sort(few)].copy())
        headline = cs.benchmark(profiles, "complexes", annotations=screen / "complexes.gmt", spaces=spaces).headline
        found.append(headline[headline["metric"] == "average precision"].set_index("space")["value"])
    return pd.concat(found, axis=1).mean(axis=1).rename(f"{n} cells").rename_axis("space")


def rival_on_bbbc013(out: Path) -> str:
    """The same on the real plate's dose axis."""
    screen = yaml.safe_load((HERE / "bbbc013" / "screen.yaml").read_text())
    learned, others = models_of_bbbc013(out, screen["training"])
    cells, spaces = with_rival(out, "bbbc013", out / "bbbc013", learned, "plate", others)
    found = cs.benchmark(cells, "dose", spaces=spaces, **screen["benchmarks"]["dose"]).headline
    rows = found.set_index(["metric", "space"])[["value", "chance"]]
    return (
        "\nBBBC013, the same cells; the controls of the plate are one batch. All models have the screen file's "
        "settings and seed 0:\n\n" + markdown(rows)
    )


def models_of_bbbc013(out: Path, training: dict[str, object]) -> tuple[ad.AnnData, dict[str, ad.AnnData]]:
    """mcvae's embedding of the real plate, with the baselines, and those of the other models.

    Not of `clean`, which normalises by the controls of a batch: a well of this plate, and most have none.
    """
    store, found = cs.open_store(out / "bbbc013" / "cells.zarr"), {}
    for name in ["mcvae", *OTHERS]:
        model, changes = FAMILY[name]
        if changes != CLEAN:
            run = cs.fit(store, model=model, out=out / "models" / f"{name} bbbc013", **(training | changes))
            found[OTHERS.get(name, name)] = cs.embed(store, run, baselines=name == "mcvae")
    return found.pop("mcvae"), found


def with_rival(
    out: Path, name: str, analysis: Path, learned: ad.AnnData, batch: str, others: dict[str, ad.AnnData]
) -> tuple[ad.AnnData, list[str]]:
    """Embedded cells with CellProfiler's components beside them, and the spaces to judge."""
    measured, reduced = out / "features" / f"measured-{name}.h5ad", out / "features" / f"{name}.h5ad"
    contrascope("features", analysis / "cells.zarr", "--features", "fast", "--out", measured)
    if not reduced.exists():
        contrascope("reduce-features", measured, "--batch", batch, "--out", reduced)
    cells, _ = beside(learned, others | {"cellprofiler": cs.read_anndata(reduced)})
    for space in [space for space in ("salient", "clean salient") if space in cells.obsm]:
        cells.obsm[f"{space} + cellprofiler"] = together(cells, [space, "cellprofiler"])
    return cells, [space for space in RIVALS if space in cells.obsm or space == "combined"]


def model_cells(out: Path, seed: int) -> dict[str, ad.AnnData]:
    """The other models' embeddings of a screen."""
    return {name: embedded(out, seed, folder, *FAMILY[folder]) for folder, name in OTHERS.items()}


def bbbc013_section(out: Path) -> str:
    """The dose benchmark of the real plate, and the mean position at each dose."""
    folder = out / "bbbc013"
    contrascope("run", HERE / "bbbc013" / "screen.yaml", "--out", folder)
    rows = headline(folder, ["dose", "artifacts"])
    table = pd.read_csv(folder / "benchmarks" / "dose.csv")
    means = table[table["metric"] == "mean position"].pivot_table(index="dose", columns="space", values="value")
    means = means[[space for space in SPACES if space in means]]
    means.index = [f"{dose:g}" for dose in means.index]
    return (
        "`contrascope run examples/bbbc013/screen.yaml`: axis from negative to positive control wells fitted on rows "
        "A-D (wortmannin), measured on rows E-H (LY294002); `by probe`: by the mean probability of a well's cells to be"
        " positive, of a logistic regression fitted on A-D.\n\n"
        + markdown(rows[["value", "chance"]])
        + "\nWhether the two drugs do the same, and whether control wells are told apart by their column on the plate "
        "(1, 2 and 12 hold all controls, AUROC, chance .5):\n\n"
        + markdown(drugs_and_columns(folder))
        + "\nMean position of the test wells at each dose; negative controls of rows A-D lie at 0, positive at 1.\n\n"
        + markdown(means.rename_axis("dose"))
    )


def drugs_and_columns(folder: Path) -> pd.DataFrame:
    """Cosine of the drugs' profiles at each dose from 3 on, and AUROC of the column of control wells, by space."""
    cells = cs.read_anndata(folder / "embedding" / "cells.h5ad")
    profiles, found = centred(averaged(cells)), {}
    controls = cells[cells.obs["control"].to_numpy(bool)].copy()
    controls.obs["column"] = controls.obs["well"].astype(str).str[1:]
    spaces = ["background", "salient", "untrained"]
    table = cs.benchmark(controls, "artifacts", columns=["column"], spaces=spaces).headline
    columns = table[table["metric"] == "column AUROC"].set_index("space")["value"]
    for space in spaces:
        at = pd.DataFrame(profiles.obsm[space], index=profiles.obs_names)
        both = {dose: [at.loc[f"{drug}_{dose}"] for drug in ("wortmannin", "LY294002")] for dose in range(3, 11)}
        cosines = {
            f"cosine at dose {dose}": one @ other / np.sqrt((one @ one) * (other @ other))
            for dose, (one, other) in both.items()
        }
        found[space] = cosines | {"column AUROC": columns[space]}
    return pd.DataFrame(found).rename_axis("what")


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


SECTIONS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "demo": ("The synthetic screen, three seeds", demo_section),
    "models": ("Every model, the same screens", models_section),
    "rival": ("CellProfiler's features on the same cells", rival_section),
    "bbbc013": ("BBBC013, a real plate", bbbc013_section),
}
"""What can be asked for -> its title on the page, and what makes it."""

if __name__ == "__main__":
    main()
