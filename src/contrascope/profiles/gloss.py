"""What a feature's name means, in plain words.

    Cells_Texture_Contrast_Tubulin_3_00_256   contrast of tubulin texture in the cell, at 3 pixels
    Nuclei_AreaShape_Eccentricity             elongation of the nucleus (eccentricity)
    nucleus_dapi_mean                         mean of dapi in the nucleus

A name of CellProfiler's is compartment, group, measure, and what the group adds: a channel or two, a scale, an angle.
Names of pooled screens are compartment, channel, measure. Of other names nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from contrascope.profiles.words import (
    ANGLES,
    COMPARTMENTS,
    INTENSITIES,
    NEIGHBOURS,
    PAIRS,
    PLAIN_SHAPES,
    RADIAL,
    SHAPES,
    STATISTICS,
    TEXTURES,
)

Said = str | None


def gloss(name: str) -> str:
    """The name in plain words; blank where its grammar is not known."""
    compartment, _, rest = name.partition("_")
    whose = COMPARTMENTS.get(compartment.lower())
    if whose is None or not rest:
        return ""
    group, *parts = rest.split("_")
    said = _GROUPS[group](parts, whose) if group in _GROUPS and parts else None
    return said or _of_pooled_screens(rest, whose) or ""


def _shape(parts: Sequence[str], whose: str) -> Said:
    if parts[0] == "Zernike" and len(parts) == 3:
        return f"outline of the {whose}, Zernike shape {parts[1]}, {parts[2]}"
    if re.search(r"Moment|InertiaTensor", parts[0]):
        return f"outline of the {whose} ({_split(' '.join(parts))})"
    if len(parts) > 1 or parts[0] not in SHAPES:
        return None
    what, bracket, more = SHAPES[parts[0]].partition(" (")
    return f"{what} of the {whose}{bracket}{more}"


def _intensity(parts: Sequence[str], whose: str) -> Said:
    what = INTENSITIES.get(parts[0])
    return f"{what} of {_channel(parts[1:])} in the {whose}" if what and len(parts) > 1 else None


def _texture(parts: Sequence[str], whose: str) -> Said:
    what = TEXTURES.get(parts[0])
    numbers = _numbers_at_end(parts)
    channel = parts[1 : len(parts) - len(numbers)]
    if what is None or not channel or not numbers:
        return None
    scale, *rest = numbers
    angle = f" {ANGLES[rest[0]]}" if rest and rest[0] in ANGLES and rest[0] != "00" else ""
    noun, bracket, more = what.partition(" (")
    return f"{noun} of {_channel(channel)} texture in the {whose}, at {_pixels(scale)}{angle}{bracket}{more}"


def _pair(parts: Sequence[str], whose: str) -> Said:
    what = PAIRS.get(parts[0])
    if what is None or len(parts) < 3:
        return None
    both = parts[1:]
    # Names of channels may have underscores; halves are told where there is an even number of parts.
    half = len(both) // 2
    if len(both) % 2:
        return f"{what} of {_channel(both)} in the {whose}"
    return f"{what} of {_channel(both[:half])} and {_channel(both[half:])} in the {whose}"


def _granularity(parts: Sequence[str], whose: str) -> Said:
    if len(parts) < 2 or not parts[0].isdigit():
        return None
    return f"grains of {_channel(parts[1:])} in the {whose}, size {int(parts[0])}"


def _radial(parts: Sequence[str], whose: str) -> Said:
    what = RADIAL.get(parts[0])
    if what is None or len(parts) < 2:
        return None
    ring = re.fullmatch(r"(\d+)of(\d+)", parts[-1])
    if ring:
        return f"{what} of {_channel(parts[1:-1])} in ring {ring[1]} of {ring[2]} of the {whose}, from the centre"
    numbers = _numbers_at_end(parts)
    if parts[0].startswith("Zernike") and len(numbers) == 2:
        return f"{what} {numbers[0]}, {numbers[1]} of {_channel(parts[1:-2])} in the {whose}"
    return f"{what} of {_channel(parts[1:])} in the {whose}"


def _neighbours(parts: Sequence[str], whose: str) -> Said:
    what = NEIGHBOURS.get(parts[0])
    near = f", within {_pixels(parts[1])}" if len(parts) > 1 and parts[1].isdigit() else ""
    return f"{what} of the {whose}{near}" if what else None


_GROUPS: dict[str, Callable[[Sequence[str], str], Said]] = {
    "AreaShape": _shape,
    "Intensity": _intensity,
    "Texture": _texture,
    "Correlation": _pair,
    "Granularity": _granularity,
    "RadialDistribution": _radial,
    "Neighbors": _neighbours,
}


def _of_pooled_screens(rest: str, whose: str) -> Said:
    """Channel and statistic, or a shape, in small letters."""
    if rest in PLAIN_SHAPES:
        what, bracket, more = PLAIN_SHAPES[rest].partition(" (")
        return f"{what} of the {whose}{bracket}{more}"
    for statistic in sorted(STATISTICS, key=len, reverse=True):
        if rest.endswith(f"_{statistic}"):
            return f"{STATISTICS[statistic]} of {_channel([rest.removesuffix(f'_{statistic}')])} in the {whose}"
    if pair := re.fullmatch(r"(?:correlation_)(\w+?)_(\w+)|(\w+?)_(\w+)_correlation", rest):
        first, second = (part for part in pair.groups() if part)
        return f"correlation of {_channel([first])} and {_channel([second])} in the {whose}"
    return None


def _numbers_at_end(parts: Sequence[str]) -> list[str]:
    numbers: list[str] = []
    for part in reversed(parts):
        if not part.isdigit():
            break
        numbers.insert(0, part)
    return numbers


def _channel(parts: Sequence[str]) -> str:
    """A channel as a noun: small letters where the name is a word, else as it is (DNA, gH2AX)."""
    return " ".join(part.lower() if re.fullmatch(r"[A-Z][a-z]+", part) else part for part in parts)


def _pixels(number: str) -> str:
    return f"{int(number)} pixel{'' if int(number) == 1 else 's'}"


def _split(name: str) -> str:
    """CamelCase as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
