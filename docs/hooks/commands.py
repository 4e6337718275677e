"""The reference of commands, made from the command line itself when the site is built.

``<!-- commands -->`` in a page becomes a section a command: what it does, its example, its arguments and options
with their help and defaults. What ``--help`` says and what the site says cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer.main

from contrascope.cli import app

MARKER = "<!-- commands -->"
EXAMPLE = "Example: "
EVERYWHERE = {"quiet", "json_"}
"""Options that every command has; the page says so once."""
WORDS = {Path: "PATH", int: "NUMBER", float: "NUMBER", str: "TEXT", list[str]: "TEXT"}


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with its marker replaced; called by MkDocs for every page."""
    return markdown.replace(MARKER, commands()) if MARKER in markdown else markdown


def commands() -> str:
    """All commands, in the order in which `contrascope --help` lists them."""
    group: Any = typer.main.get_command(app)
    functions = (registered.callback for registered in app.registered_commands)
    pairs = zip(group.commands.items(), functions, strict=True)
    return "\n\n".join(_section(name, command, get_type_hints(function)) for (name, command), function in pairs)


def _section(name: str, command: Any, types: dict[str, Any]) -> str:
    texts = [" ".join(part.split()) for part in cleandoc(command.help or "").split("\n\n")]
    said = [_plain(text) for text in texts if not text.startswith(EXAMPLE)]
    examples = [f"```text\n{text.removeprefix(EXAMPLE)}\n```" for text in texts if text.startswith(EXAMPLE)]
    shown = [one for one in command.params if one.name not in EVERYWHERE | {"help"}]
    rows = [(_typed(one, types[one.name]), _plain(one.help or ""), _default(one)) for one in shown]
    return "\n\n".join([f"## contrascope {name}", *said, *examples, _table(rows)])


def _typed(parameter: Any, kind: Any) -> str:
    """What is typed for an argument or option."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    names += "".join(f" / `{name}`" for name in parameter.secondary_opts)
    return names if parameter.is_flag else f"{names} {_value(parameter, kind)}"


def _value(parameter: Any, kind: Any) -> str:
    """What an option takes: choices, its own word for it, or the kind of value."""
    if parameter.metavar:
        return f"`{parameter.metavar}`"
    kinds = [kind, *get_args(kind)]
    for one in kinds:
        if get_origin(one) is Literal:
            return " or ".join(f"`{choice}`" for choice in get_args(one))
    return next(f"`{word}`" for known, word in WORDS.items() if known in kinds)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.is_flag and parameter.secondary_opts:
        return f"`{(parameter.opts if parameter.default else parameter.secondary_opts)[0]}`"
    return "" if parameter.default is None or parameter.is_flag else f"`{parameter.default}`"


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    table = "\n".join(["| | | if left out |", "|---|---|---|", *(f"| {line} |" for line in lines)])
    return f'<div class="keys defaults" markdown="1">\n\n{table}\n\n</div>'


def _plain(text: str) -> str:
    """Help as Markdown: signs that mean something there are taken as they stand."""
    for sign in "\\*_<[":
        text = text.replace(sign, f"\\{sign}")
    return text
