"""A page from sections, and sections from text, tables, figures and what can be moved.

The page is self-contained: figures are embedded, styles and scripts are inline, and a policy in its head forbids it to
ask the network for anything. Without scripts it still says what it says.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import jinja2
import pandas as pd


@dataclass(frozen=True)
class Text:
    """A paragraph; ``mono`` for settings and the like, as they are written."""

    text: str
    mono: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption; the number of digits is that of ``decimals``."""

    frame: pd.DataFrame
    caption: str = ""
    decimals: int = 3

    def html(self) -> str:
        """The table as HTML, texts escaped; whole numbers with thousands marked, flags as yes and no."""
        shown = self.frame.copy()
        for name, column in shown.items():
            if pd.api.types.is_bool_dtype(column):
                shown[name] = column.map({True: "yes", False: "no"})
            elif pd.api.types.is_integer_dtype(column):
                shown[name] = column.map("{:,}".format)
        return shown.to_html(index=False, border=0, float_format=lambda x: f"{x:,.{self.decimals}f}", na_rep="")


@dataclass(frozen=True)
class Picture:
    """A PNG file with a caption that says what to see in it."""

    path: Path
    caption: str

    @property
    def width(self) -> int:
        """Width on the page, in CSS pixels: figures are drawn at 200 dots an inch and shown at 120."""
        return round(image_width(self.path) * 0.6)

    def source(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def image_width(path: Path) -> int:
    """Width of a PNG in pixels, from its header."""
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n", path
    return int.from_bytes(header[16:20], "big")


@runtime_checkable
class Interactive(Protocol):
    """What a reader can search, sort or move.

    Blocks tell each other which perturbation is looked at by an event ``contrascope:perturbation`` of the document,
    whose ``detail`` is ``{name, from}``: the perturbation, and the id of the element that it was chosen in.

    Attributes:
        scripts: Files of ``report/static`` that move it, written into the page once, in this order.
    """

    scripts: ClassVar[tuple[str, ...]]

    def html(self) -> str:
        """The block as HTML that can be read without scripts, texts escaped."""
        ...


SIDEWAYS = "sideways.js"
"""The script of every page: it marks boxes that can be scrolled sideways."""
Block = Text | Table | Picture | Interactive


@dataclass(frozen=True)
class Fact:
    """A number that matters, with what it means."""

    value: str
    label: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The heading as a link target."""
        return "-".join(self.title.lower().split())


def render_report(title: str, *, subtitle: str, facts: Sequence[Fact], sections: Sequence[Section]) -> str:
    """The page as HTML.

    Args:
        title: Name of the screen.
        subtitle: One sentence under it.
        facts: The few numbers at the top.
        sections: In the order of reading.
    """
    room = files("contrascope.report")
    blocks = [block for section in sections for block in section.blocks]
    moving = [name for block in blocks if isinstance(block, Interactive) for name in block.scripts]
    scripts = dict.fromkeys([*moving, SIDEWAYS])
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.tests["picture"] = lambda block: isinstance(block, Picture)
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["interactive"] = lambda block: isinstance(block, Interactive)
    return environment.from_string(room.joinpath("template.html").read_text(encoding="utf-8")).render(
        title=title,
        subtitle=subtitle,
        facts=facts,
        sections=sections,
        scripts=[room.joinpath("static", name).read_text(encoding="utf-8") for name in scripts],
        version=version("contrascope"),
    )


def script_text(name: str) -> str:
    """A file of ``report/static``."""
    return files("contrascope.report").joinpath("static", name).read_text(encoding="utf-8")


def page_policy() -> str:
    """What the page may do, as its head says: the value of its Content-Security-Policy."""
    template = files("contrascope.report").joinpath("template.html").read_text(encoding="utf-8")
    return template.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
