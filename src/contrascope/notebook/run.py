"""A run in a notebook: what was trained on what, what came of it, and cells beside what the model keeps of them."""

from __future__ import annotations

from html import escape

from contrascope.errors import ContrascopeError, RunError
from contrascope.figures.composite import colour_key, composite, limits_of
from contrascope.notebook.page import block, chosen_rows, facts_table, folded, strip
from contrascope.notebook.store import CELLS, names_of
from contrascope.shown import or_why
from contrascope.store.store import CropStore, open_store
from contrascope.training.describe import changed_settings
from contrascope.training.run import Run


def run_html(run: Run) -> str:
    """The run as HTML."""
    return block(
        f"Run of {run.model_name}",
        or_why(lambda: facts_table(_facts(run)), what="table of facts"),
        or_why(lambda: _cells(run), what="strip of cells"),
        or_why(lambda: folded("provenance", _provenance(run)), what="provenance"),
    )


def _facts(run: Run) -> dict[str, object]:
    facts, outcome = run.facts, run.facts["outcome"]
    return {
        "store": f"{facts['store']['name']}, {facts['store']['cells']:,} cells",
        "channels": ", ".join(facts["channels"]),
        "perturbations": f"{len(run.perturbations):,}",
        "steps": f"{outcome['steps']:,}, the best at {outcome['best_step']:,}",
        "validation loss": f"{outcome['best_validation_loss']:.1f} nats",
        "stopped": "by hand: a training that was not finished" if outcome["interrupted"] else None,
        "path": run.path,
    }


def _provenance(run: Run) -> dict[str, object]:
    return {
        "fingerprint": run.fingerprint,
        "store": run.facts["store"],
        "preset": run.settings.preset,
        "settings that differ from it": changed_settings(run),
        "versions": run.facts["versions"],
    }


def _cells(run: Run) -> str:
    store = _store_beside(run)
    rows = chosen_rows(len(store), most=CELLS)
    images, decoded = run.reconstruct(store, rows)
    limits, names = limits_of(images), names_of(store, rows.tolist())
    above, below = (strip(composite(each, limits=limits), names) for each in (images, decoded))
    key = escape(colour_key(store.channels))
    return f"{above}<p>The same cells as the model decodes them, at the same contrast:</p>{below}<p>Colours: {key}.</p>"


def _store_beside(run: Run) -> CropStore:
    """The store it was trained on, from the folder of the run or one of the two above."""
    above = run.path.absolute().parents[:2]
    for path in (path for folder in above for path in sorted(folder.glob("*.zarr"))):
        try:
            store = open_store(path)
        except ContrascopeError:
            continue  # something else whose name ends so
        if store.fingerprint == run.facts["store"]["fingerprint"]:
            return store
    raise RunError(
        f"The store that it was trained on lies in none of {' and '.join(map(str, above))}. See cells with "
        f"run.reconstruct(store, rows)."
    )
