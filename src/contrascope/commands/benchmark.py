"""``contrascope benchmark``: what the command line says, as a call of the package.

The function answers with the facts and the text of its last line; ``cli`` shows progress and prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from contrascope.addresses import local_path
from contrascope.commands.arguments import Facts, Json, Quiet, settings_in, split
from contrascope.errors import SettingsError

if TYPE_CHECKING:
    from anndata import AnnData

    from contrascope.benchmarks import Result
    from contrascope.benchmarks.suite import Judged


ALL = "all"


def benchmark(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Embedded cells or profiles, .h5ad or .zarr; or a table of features.")
    ],
    name: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Its name; or all, for those that the data allow.")],
    out: Annotated[Path, typer.Option(help="Folder for CSV, PNG and SVG.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Its option, such as annotations=corum.gmt; with all: complexes.annotations=corum.gmt.",
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            metavar="NAME=FILE",
            help="Another embedding of the same cells, or a table of features, judged on the very same rows.",
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="Column of a table of features that names its rows.")] = "cell_id",
    figures: Annotated[
        Literal["paper"] | None,
        typer.Option(help="With all: also the paper's Figures 2, 3 and 4, panel for panel, as far as the data allow."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> tuple[Facts, str]:
    """Ask one benchmark, or all that the data allow, of one embedding or of several.

    Example: contrascope benchmark cells.h5ad all --beside vae=vae.h5ad --set complexes.annotations=corum.gmt
    --out benchmarks
    """
    from contrascope.benchmarks import benchmark as ask
    from contrascope.benchmarks.suite import Judged
    from contrascope.figures.style import same_colours
    from contrascope.profiles.spaces import chosen_spaces
    from contrascope.tables import read_embedding

    if figures and name != ALL:
        raise SettingsError(f"--figures {figures} is drawn of all benchmarks. Say {ALL} in place of {name}.")
    out, changes = local_path(out), settings_in(settings)  # before the work
    if out.exists() and not out.is_dir():
        raise SettingsError(f"--out {out} is a file. Name a folder.")
    cells = read_embedding(data, key=key)
    spaces = changes.pop("spaces", None)
    if beside:
        own, before = chosen_spaces(cells, None), set(cells.obsm)
        cells, notes = _with_others(cells, beside, key)
        spaces = spaces or [*own, *(space for space in cells.obsm if space not in before)]
    else:
        notes = ()
    with same_colours([*cells.obsm, *_names(beside), _model_of(cells)]):
        if name == ALL:
            return _all(cells, spaces, changes, notes, out, others=_names(beside) if figures else None)
        result = ask(Judged(cells).for_(name), name, spaces=spaces, **changes)
        result.save(out)
    text = "\n".join([str(result), *notes])
    return {"benchmark": name, "headline": result.headline.to_dict("records"), "matched": list(notes)}, text


def _all(
    cells: AnnData,
    spaces: list[str] | None,
    changes: Mapping[str, Any],
    notes: tuple[str, ...],
    out: Path,
    *,
    others: list[str] | None,
) -> tuple[Facts, str]:
    """Every benchmark, and their headlines side by side; with ``others``, the paper's figures too."""
    from contrascope.benchmarks.suite import Judged, ask_all, comparison, notes_of, said
    from contrascope.progress import report

    options: dict[str, dict[str, Any]] = {}
    for dotted, value in changes.items():
        benchmark_, dot, option = dotted.partition(".")
        if not dot:
            raise SettingsError(f"--set {dotted} names no benchmark. With all, say which: complexes.{dotted}=...")
        options.setdefault(benchmark_, {})[option] = value
    judged = Judged(cells)
    results, left_out = ask_all(
        judged, options=options, spaces=spaces, asked=lambda name: report(f"Benchmark {name}", 0, 1)
    )
    for result in results.values():
        result.save(out)
    table = comparison(results)
    table.to_csv(out / "comparison.csv", index=False)
    _write_differences(judged, options, spaces, out)
    functions = options.get("functions", {}).get("annotations")
    lacking = [] if others is None else _draw_paper(judged, results, others, functions, out)
    sentences = [*notes, *lacking, *notes_of(results), *said(left_out)]
    wide = table.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="")
    facts = {"comparison": str(out / "comparison.csv"), "benchmarks": list(results), "left_out": left_out}
    return facts | {"matched": list(notes)}, "\n".join([wide, *(f"note: {text}" for text in sentences)])


def _write_differences(judged: Judged, options: Mapping[str, Any], spaces: list[str] | None, out: Path) -> None:
    """Each two embeddings on the very same pairs, if complexes are known and there are several embeddings."""
    from contrascope.benchmarks.relations.compare import compare_relations
    from contrascope.profiles.spaces import chosen_spaces

    asked, profiles = options.get("complexes", {}), judged.for_("complexes")
    if "annotations" not in asked or len(chosen_spaces(profiles, spaces)) < 2:
        return
    reading = {key: asked[key] for key in ("organism", "min_score", "protein_names") if key in asked}
    table = compare_relations(
        profiles,
        annotations=asked["annotations"],
        spaces=spaces,
        options=reading,
        aliases=asked.get("aliases"),
        seed=asked.get("seed", 0),
    )
    table.to_csv(out / "complexes_differences.csv", index=False)


def _draw_paper(
    judged: Judged, results: Mapping[str, Result], others: list[str], functions: Any, out: Path
) -> list[str]:
    """Each panel as PNG and SVG; sentences on those that lack something."""
    from contrascope.benchmarks.result import save_figure
    from contrascope.figures.paper import Material, draw_paper
    from contrascope.progress import report

    report("Drawing the paper's figures", 0, 1)
    model = _model_of(judged.data)
    material = Material(
        judged.data, judged.for_("complexes"), judged.for_("functions"), results, model, others, functions
    )
    drawn, lacking = draw_paper(material)
    for name, figure in drawn.items():
        save_figure(figure, out / "paper" / f"figure_{name.replace(' ', '_')}")
    report("Drawing the paper's figures", 1, 1)
    return list(lacking.values())


def _model_of(cells: AnnData) -> str:
    return str(cells.uns.get("contrascope", {}).get("model", "model"))


def _names(beside: list[str] | None) -> list[str]:
    return [split(text, example="--beside vae=vae.h5ad")[0] for text in beside or []]


def _with_others(first: AnnData, beside: list[str], key: str) -> tuple[AnnData, tuple[str, ...]]:
    """The first with the embeddings of the others, and an account of how rows were matched."""
    from contrascope.profiles.beside import beside as side_by_side
    from contrascope.tables import read_embedding

    pairs = [split(text, example="--beside vae=vae.h5ad") for text in beside]
    others = {name: read_embedding(file, key=key) for name, file in pairs}
    if len(others) < len(pairs):
        raise SettingsError("Two of --beside have one name. Give each embedding a name of its own.")
    joined, notes = side_by_side(first, others)
    return joined, (*notes, *(note for name, other in others.items() for note in _features_left_out(name, other)))


def _features_left_out(name: str, data: AnnData) -> list[str]:
    """Features of a table that are not finite in some row."""
    from contrascope.errors import first_few

    left_out = list(data.uns.get("left_out", []))
    if not left_out:
        return []
    return [f"{name}: {len(left_out):,} features are not finite in some row and left out: {first_few(left_out, 5)}."]
