"""Draws docs/pictures/model.svg, the model in one picture: `python docs/drawing.py`.

From above: two kinds of cells, two encoders, two spaces with their priors, one decoder, and below what each kind pays.
The picture stands on a light card of its own, so that it reads alike on a light and on a dark page; it is narrow, so
that its letters stay legible on a telephone.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from contrascope.figures.style import GREY, INK, PALE, SPACE_COLOURS

PICTURE = Path(__file__).parent / "pictures" / "model.svg"
WIDTH, HEIGHT = 600, 850
LEFT, MIDDLE, RIGHT = 160, 300, 440
"""Where the two columns and their common middle stand."""
BLUE, VERMILION = SPACE_COLOURS["background"], SPACE_COLOURS["salient"]
TITLE = "Multi-ContrastiveVAE: two encoders, two spaces with priors, one decoder"
WORDS = (
    "A control cell and a perturbed cell both go through two encoders. In the background space controls lie around 0 "
    "and each perturbation around a mean of its own. In the salient space controls are held at the point 0 and each "
    "perturbation lies around a mean of its own. One decoder draws a control from its background code and 0, a "
    "perturbed cell from its background and its salient code."
)


def drawing() -> str:
    """The picture as SVG."""
    parts = [
        _box(2, 2, WIDTH - 4, HEIGHT - 4, fill="white", stroke=PALE, radius=14),
        *_cells(92, ("control cell", "perturbed cell, m"), above=True),
        *_into_encoders(),
        *_encoders(),
        *_spaces(),
        *_decoder(),
        *_cells(612, ("decoded from (z, 0)", "decoded from (z, s)"), above=False),
        *_bills(),
    ]
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {size} role="img"'
    font = 'font-family="Helvetica, Arial, sans-serif" font-size="16"'
    arrow = f'<path d="M0 0 9 4.5 0 9z" fill="{INK}"/>'
    marker = (
        f'<marker id="a" viewBox="0 0 9 9" refX="8" refY="4.5" markerWidth="8" markerHeight="8" orient="auto">{arrow}'
    )
    lines = [
        f'{head} aria-labelledby="t d" {font}>',
        f'<title id="t">{escape(TITLE)}</title>',
        f'<desc id="d">{escape(WORDS)}</desc>',
    ]
    return "\n".join([*lines, f"<defs>{marker}</marker></defs>", *parts, "</svg>", ""])


def _cells(y: float, labels: tuple[str, str], *, above: bool) -> list[str]:
    """A control and a perturbed cell side by side; what only the perturbed one has is drawn in the salient colour."""
    spots = [(-24, -12, 5), (-30, 8, 4), (16, 24, 5), (28, -14, 4), (2, -30, 5)]
    parts = []
    for x, label in zip((LEFT, RIGHT), labels, strict=True):
        parts.append(f'<ellipse cx="{x}" cy="{y}" rx="46" ry="40" fill="#DCE9F3" stroke="{BLUE}" stroke-width="2"/>')
        parts.append(f'<ellipse cx="{x + 3}" cy="{y - 1}" rx="18" ry="16" fill="{BLUE}" fill-opacity=".55"/>')
        parts.append(_text(x, y - 52 if above else y + 60, label, weight="bold" if above else "normal"))
    return [*parts, *(f'<circle cx="{RIGHT + x}" cy="{y + dy}" r="{r}" fill="{VERMILION}"/>' for x, dy, r in spots)]


def _into_encoders() -> list[str]:
    """Every cell goes into both encoders."""
    ends = [(LEFT, LEFT - 14), (LEFT, RIGHT - 14), (RIGHT, LEFT + 14), (RIGHT, RIGHT + 14)]
    return [_arrow(start, 136, end, 172) for start, end in ends]


def _encoders() -> list[str]:
    parts = []
    for x, colour, name in ((LEFT, BLUE, "encoder q(z | x)"), (RIGHT, VERMILION, "encoder q(s | x)")):
        parts.append(_wedge(x, 174, top=110, bottom=80, colour=colour))
        parts.append(_text(x, 199, name, colour="white", weight="bold"))
        parts.append(_arrow(x, 216, x, 246))
    return parts


def _spaces() -> list[str]:
    """Both spaces, with controls in grey and two perturbations around their means."""
    random = np.random.default_rng(4)
    parts = []
    for x, colour, letter, name in ((LEFT, BLUE, "z", "background"), (RIGHT, VERMILION, "s", "salient")):
        parts.append(_box(x - 125, 250, 250, 190, fill="#FAFAFA", stroke=colour))
        parts.append(_text(x, 272, f"{name} space {letter}", colour=colour, weight="bold"))
        for (dx, dy), label in (((-58, 392), "1"), ((62, 344), "2")):
            parts += _cloud(x + dx, dy, 24, colour, random)
            parts.append(_text(x + dx, dy + 42, f"μ{letter}[{label}]", colour=INK, size=14))
    parts += _cloud(LEFT - 50, 322, 24, GREY, random)
    parts.append(_text(LEFT - 50, 293, "controls: 0", size=14))
    parts.append(f'<circle cx="{RIGHT - 50}" cy="322" r="7" fill="{GREY}"/>')
    parts.append(_text(RIGHT - 50, 305, "controls: 0", size=14))
    return parts


def _cloud(x: float, y: float, radius: float, colour: str, random: np.random.Generator) -> list[str]:
    """Cells around the mean of their prior: a unit normal, drawn as a dashed circle."""
    circle = f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{colour}" stroke-dasharray="4 3"/>'
    places = random.normal(scale=radius / 2.2, size=(14, 2)).clip(-radius, radius)
    return [circle, *(f'<circle cx="{x + a:.1f}" cy="{y + b:.1f}" r="2.4" fill="{colour}"/>' for a, b in places)]


def _decoder() -> list[str]:
    return [
        _arrow(LEFT, 442, MIDDLE - 42, 476),
        _arrow(RIGHT, 442, MIDDLE + 42, 476),
        _wedge(MIDDLE, 478, top=95, bottom=135, colour=SPACE_COLOURS["combined"]),
        _text(MIDDLE, 503, "one decoder", colour="white", weight="bold"),
        _arrow(MIDDLE - 70, 520, LEFT + 20, 566),
        _arrow(MIDDLE + 70, 520, RIGHT - 20, 566),
    ]


def _bills() -> list[str]:
    """What each kind of cell pays, in the order of the objective."""
    control = ["−log p(x | z, 0)", "+ β KL( q(z|x) ‖ N(0, I) )", "+ β λ W₂²( q(s|x), 0 ): the leak"]
    perturbed = ["−log p(x | z, s)", "+ β KL( q(z|x) ‖ N(μz[m], I) )", "+ β KL( q(s|x) ‖ N(μs[m], I) )"]
    parts = []
    for x, who, lines in (
        (MIDDLE - 143, "a control pays", control),
        (MIDDLE + 143, "a perturbed cell pays", perturbed),
    ):
        parts.append(_box(x - 137, 700, 274, 126, fill="#FAFAFA", stroke=PALE))
        parts.append(_text(x, 726, who, weight="bold"))
        colours = (INK, BLUE, VERMILION)
        for row, (line, colour) in enumerate(zip(lines, colours, strict=True)):
            parts.append(_text(x, 756 + 26 * row, line, colour=colour))
    return parts


def _text(x: float, y: float, words: str, *, colour: str = INK, weight: str = "normal", size: int = 16) -> str:
    style = f'fill="{colour}" font-weight="{weight}" font-size="{size}" text-anchor="middle"'
    return f'<text x="{x}" y="{y}" {style}>{escape(words)}</text>'


def _box(x: float, y: float, width: float, height: float, *, fill: str, stroke: str, radius: float = 8) -> str:
    place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>'


def _wedge(x: float, y: float, *, top: float, bottom: float, colour: str) -> str:
    """A network that narrows or widens: half widths at its top and at its bottom, 42 high."""
    return f'<path d="M{x - top} {y}H{x + top}L{x + bottom} {y + 42}H{x - bottom}z" fill="{colour}"/>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x} {y}L{to_x} {to_y}" stroke="{INK}" stroke-width="1.5" marker-end="url(#a)"/>'


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
