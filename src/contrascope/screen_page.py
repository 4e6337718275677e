"""The report of a screen whose stages are done: which sections there are, and in which order."""

from __future__ import annotations

from contrascope import judging
from contrascope import vocabulary as v
from contrascope.finished import Finished
from contrascope.pictures import farthest, mapped_spaces
from contrascope.report import accounts, sections
from contrascope.report.gathered import read_gathered
from contrascope.report.maps import Maps, mapped_cells
from contrascope.report.overview import overview
from contrascope.report.perturbations import perturbation_frame
from contrascope.report.quality_page import quality_section
from contrascope.report.report import render_report
from contrascope.report.sheets import read_sheets


def screen_page(made: Finished) -> str:
    """The page as HTML."""
    store, run, results, not_asked = made.store, made.run, made.results, made.not_asked
    figures, gathered = made.out / "figures", read_gathered(made.out / "cards")
    perturbations = perturbation_frame(gathered, results)
    return render_report(
        made.settings.name,
        subtitle=f"{store!r}; model {run.model_name}.",
        facts=sections.headline_facts(store.account, len(store.perturbations), results),
        sections=[
            sections.overview_section(overview(results, perturbations, not_asked=not_asked)),
            sections.perturbations_section(perturbations, gathered),
            sections.went_in(str(store.account), accounts.dropped(store.account), accounts.counts(store.cells)),
            quality_section(made.quality, made.out / "quality"),
            sections.cells_section(figures),
            sections.training_section(run.facts["outcome"], figures),
            sections.maps_section(_maps(made)),
            sections.spaces_section(made.judged[1]),
            *(sections.benchmark_section(result, made.out / "benchmarks") for result in results.values()),
            *sections.not_asked_section(not_asked | judging.unasked(made.settings)),
            sections.provenance_section(
                {
                    "screen": made.settings.model_dump(mode="json"),
                    "training": run.settings.model_dump(mode="json"),
                },
                {"store": store.fingerprint, "run": run.fingerprint, "packages": run.facts["versions"]},
            ),
        ],
    )


def _maps(made: Finished) -> Maps:
    spaces = mapped_spaces(made.cells)
    return Maps(
        mapped_cells(made.map_table, made.cells, spaces),
        spaces,
        stored=len(made.store),
        sheets=read_sheets(made.out / "maps"),
        stills=sections.map_stills(made.out / "figures"),
        standing=farthest(made.profiles[v.PERTURBATION]),
    )
