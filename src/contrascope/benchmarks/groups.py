"""Groups of perturbations: given one by one, as sets of genes, or as sets that are put together.

Files and mappings are read as everywhere (``gene_groups.py``); what is done here is to put sets together into groups
and to cut them down to the perturbations of a screen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from contrascope.benchmarks.gene_groups import Groups, gene_groups_from
from contrascope.errors import BenchmarkError, first_few

Annotations = Groups


def groups_in_screen(
    perturbations: Collection[str],
    *,
    groups: Mapping[str, str] | None = None,
    annotations: Annotations | None = None,
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The perturbations of each group that the screen has.

    Args:
        perturbations: Names of the screen's perturbations.
        groups: Perturbation -> group; with annotations, set -> group, and the sets of one group are put together.
        annotations: As of ``gene_groups_from``. Without groups, each set is a group.

    Returns:
        Group -> perturbations in alphabetical order, groups as they come, those without a perturbation of the screen
        left out; and notes on what was named and is not there.

    Raises:
        BenchmarkError: Nothing that is named is in the screen or in the annotations.
    """
    named = _named(groups, annotations)
    screen = frozenset(perturbations)
    known = frozenset(name for members in named.values() for name in members)
    found = {group: sorted(members & screen) for group, members in named.items() if members & screen}
    if named and not found:
        raise BenchmarkError(
            f"The groups name {first_few(sorted(known), 3)}; the screen has {first_few(sorted(screen), 3)}, and none "
            "is in both. Bring both to the same kind of name, in the same case."
        )
    unknown = len(known - screen)
    notes = (f"{unknown:,} of {len(known):,} perturbations named in groups are unknown to the screen.",)
    return found, notes if unknown else ()


def _named(groups: Mapping[str, str] | None, annotations: Annotations | None) -> dict[str, frozenset[str]]:
    """Group -> all that belongs to it, in the screen or not."""
    if annotations is None:
        pairs = [(str(group), frozenset([str(name)])) for name, group in (groups or {}).items()]
    else:
        sets = gene_groups_from(annotations)
        if groups is None:
            return dict(sets)
        pairs = [(str(group), sets[str(name)]) for name, group in groups.items() if str(name) in sets]
        if not pairs:
            raise BenchmarkError(
                f"groups names {first_few(groups, 3)}, but the annotations have the sets {first_few(sets, 3)}. "
                "Give set -> group with the names of the annotations."
            )
    together: dict[str, frozenset[str]] = {}
    for group, members in pairs:
        together[group] = together.get(group, frozenset()) | members
    return together
