"""What the commands share: arguments that several have, those of KEY=VALUE, and the facts that they answer with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from contrascope.config.settings import parsed_yaml
from contrascope.errors import SettingsError

Facts = dict[str, Any]
"""What a command says as JSON."""
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but the last line.")]
Json = Annotated[bool, typer.Option("--json", help="Give the last line as JSON.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the screen file, such as crop.size=64."),
]
Store = Annotated[str, typer.Argument(metavar="STORE", help="A crop store: its folder, or a URL such as s3://...")]
ScreenFile = Annotated[Path, typer.Argument(metavar="SCREEN.yaml", help="The screen file.")]


def settings_in(arguments: Sequence[str] | None) -> dict[str, Any]:
    """KEY=VALUE as settings; values are YAML.

    Raises:
        SettingsError: An argument is not of that form.
    """
    changes = {}
    for text in arguments or []:
        key, value = split(text, example="--set crop.size=64")
        try:
            changes[key] = parsed_yaml(value)
        except ValueError as error:
            raise SettingsError(f"--set {text} is not understood: {error}. Put quotes around the value.") from None
    return changes


def split(text: str, *, example: str) -> tuple[str, str]:
    """The two sides of KEY=VALUE.

    Raises:
        SettingsError: There is no key or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        option, needed = example.split(" ", 1)
        raise SettingsError(f"{option} {text} is not understood. KEY=VALUE was needed, such as {needed}.")
    return key, value


def number_or_name(text: str) -> Any:
    """A number of devices as a number; ``auto``, and what is neither, as it was written."""
    return int(text) if text.isdecimal() else text
