"""The reference of settings, made from the typed settings themselves when the site is built.

``<!-- settings: NAME -->`` in a page becomes a table of that class of ``contrascope.config``: each key with what it
takes, what it is when left out, and what its docstring says. ``<!-- presets -->`` becomes the values that each preset
gives to the settings of a training.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, MultipleOf
from griffe import Docstring, DocstringSectionKind
from pydantic.fields import FieldInfo

from contrascope import config
from contrascope.config import PRESETS, Settings, TrainingSettings
from contrascope.config.features import RivalSettings

MARKER = re.compile(r"<!-- settings: (\w+) -->")
PRESETS_MARKER = "<!-- presets -->"
SMALL, LARGE = 10_000, 31_000_000
"""Cells of the screens at which presets are shown."""
WORDS = {str: "text", int: "number", float: "number", bool: "true or false", Path: "path", Any: "anything"}
LIMITS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), MultipleOf: ("a multiple of", "multiple_of")}


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with its markers replaced; called by MkDocs for every page."""
    markdown = MARKER.sub(lambda found: settings_table(class_named(found[1])), markdown)
    return markdown.replace(PRESETS_MARKER, presets_table()) if PRESETS_MARKER in markdown else markdown


def class_named(name: str) -> type[Settings]:
    """A class of settings by its name."""
    found: type[Settings] = {"RivalSettings": RivalSettings}.get(name) or getattr(config, name)
    return found


def settings_table(kind: type[Settings]) -> str:
    """Key, what it takes, what it is when left out, and what it does."""
    said = documented(kind)
    with_defaults = kind is not TrainingSettings
    head = ["key", "takes", "if left out", ""] if with_defaults else ["key", "takes", ""]
    rows = []
    for name, field in kind.model_fields.items():
        default = [_default(field)] if with_defaults else []
        rows.append([f"`{name}`", _takes(field), *default, said.get(name, "")])
    return f'<div class="keys{" defaults" * with_defaults}" markdown="1">\n\n{_table(head, rows)}\n\n</div>'


def presets_table() -> str:
    """Each setting of a training, and what the presets give it; two values where it depends on the number of cells."""
    given = [[preset(n) for n in (SMALL, LARGE)] for preset in PRESETS.values()]
    rows = []
    for name in TrainingSettings.model_fields:
        pairs = [[_yaml(values[name]) for values in both] for both in given]
        rows.append([f"`{name}`", *(small if small == large else f"{small} … {large}" for small, large in pairs)])
    return _table(["key", *(f"`{name}`" for name in PRESETS)], rows)


def documented(kind: type[Settings]) -> dict[str, str]:
    """Key -> what the docstrings of a class and of those below it say."""
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one is not Settings and issubclass(one, Settings):
            said |= dict(_attributes(one))
    return said


def _attributes(kind: type[Settings]) -> Iterator[tuple[str, str]]:
    for section in Docstring(kind.__doc__ or "").parse("google", warnings=False):
        if section.kind is DocstringSectionKind.attributes:
            for attribute in section.value:
                yield attribute.name, " ".join(attribute.description.replace("``", "`").split())


def _takes(field: FieldInfo) -> str:
    return ", ".join([_words(field.annotation), *_limits(field)])


def _limits(field: FieldInfo) -> list[str]:
    return [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for kind, (sign, name) in LIMITS.items()
        if isinstance(limit, kind)
    ]


def _words(kind: Any) -> str:
    """A type as a reader of YAML would say it."""
    origin, inside = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "nothing"
    if origin is Annotated:
        return ", ".join([_words(inside[0]), *(said for field in inside[1:] for said in _limits(field))])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in inside if one is not type(None))
    if origin is list:
        return f"list of {_words(inside[0])}"
    if origin is tuple:
        return f"list of {len(inside)} {_words(inside[0])}s"
    if origin is dict:
        return "keys and values" if Any in inside else f"keys with {_words(inside[1])} each"
    return WORDS.get(kind) or f"[keys of its own](#{kind.__name__.lower()})"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Settings):
        return "its own defaults"
    return "" if value in (None, {}) else _yaml(value)


def _yaml(value: object) -> str:
    value = list(value) if isinstance(value, tuple) else value
    return f"`{yaml.safe_dump(value, default_flow_style=True).removesuffix('...').strip().removesuffix('...').strip()}`"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(f"| {line} |" for line in lines)
