"""Figures: one kind a file, each a function from data to a ``matplotlib.figure.Figure``.

They use matplotlib's objects, not pyplot: nothing global is touched, no window opens, and a figure is freed
when nobody holds it. All take their looks from ``style``. Data that nothing can be drawn of are refused by a
``FigureError``. Each is loaded when it is first used: ``contrascope.figures.umap(...)``.

Of a benchmark's table, in memory or read again by ``read_result``; ``result.plot()`` draws the first of each:

| function | table of | what to see in it |
|---|---|---|
| precision_recall | complexes | curves above the dotted line: pairs of one complex are more alike than chance |
| sweep | complexes | the curves alone, at the width of a column |
| artifact_bars | artifacts | bars above the line on them: batch or place can be read from the space |
| dose_response | dose | wells that go from the negative to the positive band with the dose |
| gene_functions | functions | all of the next two, and accuracy beside what permuted groups give |
| confusion_matrices | functions, stages | a dark diagonal; elsewhere, which group is taken for which |
| recall_differences | functions | groups to the right are told better from the first space |
| stage_bars | stages | stages whose bars are above the line of chance |
| mitosis_curves | mitosis | whether the share of the background tells mitotic genes better than counting |
| explained_curves | explained | groups above the band are made of what controls vary in anyway |
| top_features | explained | by name, what each group alters most |
| novelty_map | novelty | perturbations above the diagonal do what controls do not |
| ranked_hits | hits | perturbations above the band of control guides |

Of cells' pixels, (N, C, H, W), with one contrast for all that stand together:

| function | further data | what to see in it |
|---|---|---|
| cells_by_channel | names of channels | each channel of a cell, and all as colours |
| composites | a label for each cell | cells of each perturbation, in colours |
| pairs | their reconstructions | what the model keeps of a cell |
| counterfactuals | the same without salient part | what the salient part adds (orange) and takes (blue) |

Of other numbers:

| function | data | what to see in it |
|---|---|---|
| umap | coordinates, and a value for each point | whether points of one kind lie together |
| function_map | profiles, and functions of genes | whether genes of one function lie together |
| training_curves | metrics of a run | whether it had converged, and where validation turned |
| plate_maps | tiles or wells, and what is to be shown of them | gradients, rims and single tiles that stick out |
| channel_shifts | shifts of each channel, by tile | how far channels lie apart, and tiles that did not say |
| cells_by_well | cells stored and dropped, by well | wells that are empty or lost many |
| drops_by_reason | cells dropped, by reason | what most were lost to |

Spaces that are not ours take colours in the order they come; ``with figures.same_colours(cells.obsm):`` gives each of
them one colour in all figures that are drawn inside. The panels of the paper are drawn together, by
``figures.paper.draw_paper``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrascope.figures.artifacts import artifact_bars as artifact_bars
    from contrascope.figures.complexes import precision_recall as precision_recall
    from contrascope.figures.complexes import sweep as sweep
    from contrascope.figures.confusion import confusion_matrices as confusion_matrices
    from contrascope.figures.curves import training_curves as training_curves
    from contrascope.figures.dose import dose_response as dose_response
    from contrascope.figures.drops import cells_by_well as cells_by_well
    from contrascope.figures.drops import drops_by_reason as drops_by_reason
    from contrascope.figures.explained import explained_curves as explained_curves
    from contrascope.figures.explained import top_features as top_features
    from contrascope.figures.functions import function_map as function_map
    from contrascope.figures.functions import gene_functions as gene_functions
    from contrascope.figures.functions import recall_differences as recall_differences
    from contrascope.figures.gallery import cells_by_channel as cells_by_channel
    from contrascope.figures.gallery import composites as composites
    from contrascope.figures.gallery import counterfactuals as counterfactuals
    from contrascope.figures.gallery import pairs as pairs
    from contrascope.figures.hits import ranked_hits as ranked_hits
    from contrascope.figures.mitosis import mitosis_curves as mitosis_curves
    from contrascope.figures.novelty import novelty_map as novelty_map
    from contrascope.figures.plates import Shown as Shown
    from contrascope.figures.plates import plate_maps as plate_maps
    from contrascope.figures.scatter import umap as umap
    from contrascope.figures.shifts import channel_shifts as channel_shifts
    from contrascope.figures.stages import stage_bars as stage_bars
    from contrascope.figures.style import same_colours as same_colours

# No function has the name of a file here: once imported, the file would stand in its place.
_HOMES = {
    "Shown": "plates",
    "artifact_bars": "artifacts",
    "cells_by_channel": "gallery",
    "cells_by_well": "drops",
    "channel_shifts": "shifts",
    "composites": "gallery",
    "confusion_matrices": "confusion",
    "counterfactuals": "gallery",
    "dose_response": "dose",
    "drops_by_reason": "drops",
    "explained_curves": "explained",
    "function_map": "functions",
    "gene_functions": "functions",
    "mitosis_curves": "mitosis",
    "novelty_map": "novelty",
    "pairs": "gallery",
    "plate_maps": "plates",
    "precision_recall": "complexes",
    "ranked_hits": "hits",
    "recall_differences": "functions",
    "same_colours": "style",
    "stage_bars": "stages",
    "sweep": "complexes",
    "top_features": "explained",
    "training_curves": "curves",
    "umap": "scatter",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'contrascope.figures' has no attribute '{name}'")
    return getattr(import_module(f"contrascope.figures.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
