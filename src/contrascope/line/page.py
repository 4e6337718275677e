"""The report of a screen whose stages are done: which sections there are, and in which order."""

from __future__ import annotations

from contrascope import vocabulary as v
from contrascope.line import judging
from contrascope.line.finished import Finished
from contrascope.line.pictures import farthest, mapped_spaces
from contrascope.report import accounts, sections
from contrascope.report.gathered import read_gathered
from contrascope.report.maps import Maps, mapped_cells
from contrascope.report.overview import overview
from contrascope.report.perturbations import perturbation_frame
from contrascope.report.quality_page import quality_section
from contrascope.report.report import render_report
from contrascope.report.sheets import read_sheets
from contrascope.training.describe import latent_statistics
from contrascope.training.latent import share_in_means


def screen_page(made: Finished) -> str:
    """The page as HTML."""
    store, run, results, unanswered = made.store, made.run, made.results, made.unanswered
    figures, gathered = made.out / "figures", read_gathered(made.out / "cards")
    perturbations = perturbation_frame(gathered, results)
    return render_report(
        made.settings.name,
        subtitle=f"{store!r}; model {run.model_name}.",
        facts=sections.headline_facts(store.account, perturbations, results),
        sections=[
            sections.overview_section(overview(results, perturbations, unanswered=unanswered)),
            sections.perturbations_section(perturbations, gathered),
            sections.went_in(str(store.account), accounts.dropped(store.account), accounts.counts(store.cells)),
            quality_section(made.quality, made.out / "quality"),
            sections.cells_section(figures),
            sections.training_section(run.facts["outcome"], figures, in_means=_in_means(made)),
            sections.maps_section(_maps(made)),
            sections.spaces_section(made.judged[1]),
            *(sections.benchmark_section(result, made.out / "benchmarks") for result in results.values()),
            *sections.unanswered_section(unanswered | judging.unasked(made.settings)),
            sections.provenance_section(
                {
                    "screen": made.settings.model_dump(mode="json"),
                    "training": run.settings.model_dump(mode="json"),
                },
                {"store": store.fingerprint, "run": run.fingerprint, "packages": run.facts["versions"]},
            ),
        ],
    )


def _in_means(made: Finished) -> float | None:
    return latent_statistics(made.run).get(share_in_means(v.SALIENT))


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
