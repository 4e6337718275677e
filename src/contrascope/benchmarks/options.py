"""Options of a benchmark, checked against its signature before any work.

They come from Python as well as from the command line, where ``--set seed=abc`` is one slip of a finger.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from contrascope.errors import SettingsError

SPACES = "spaces"
_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid dictionary": "KEY: VALUE pairs",
    "an instance of Sequence": "a list",
    "iterable": "a list",
}
"""What pydantic calls the types of Python, in words of a settings file."""


def check_options(name: str, benchmark: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise unless a benchmark can be called with these options.

    Args:
        name: Of the benchmark, for the message.
        benchmark: The function; its first parameter takes the data.
        options: Its further keywords.

    Raises:
        SettingsError: An option is unknown, missing, or of another type than the signature says.
    """
    _, *parameters = inspect.signature(benchmark).parameters.values()
    known = {p.name: p.default is inspect.Parameter.empty for p in parameters if p.name != SPACES}
    unknown = sorted(set(options) - {*known, SPACES})
    missing = [option for option, required in known.items() if required and option not in options]
    if unknown or missing:
        found = f"has no option {', '.join(unknown)}" if unknown else f"needs the option {', '.join(missing)}"
        raise SettingsError(f"The benchmark '{name}' {found}. Its options: {', '.join(known)}.")
    for option, wanted in _types(benchmark).items():
        if option in options and not (option == SPACES and isinstance(options[option], str)):
            _check_value(name, option, options[option], wanted)
    if options.get("seed", 0) < 0:
        raise SettingsError(f"The benchmark '{name}' cannot take seed={options['seed']}. A seed is 0 or more.")


def _types(benchmark: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(benchmark, include_extras=True)
    except NameError:  # names that its module imports for type checkers only
        return {}


def _check_value(name: str, option: str, value: Any, wanted: Any) -> None:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type that brings its own settings
        adapter = TypeAdapter(wanted)
    # Numbers and flags are what they are: neither "5" nor 5.0 is 5. Those of numpy are no others.
    strict = wanted in (int, float, bool) and not hasattr(value, "dtype")
    try:
        adapter.validate_python(value, strict=strict)
    except ValidationError as error:
        # An object of ours is no answer to somebody who writes a setting.
        kinds = [one for one in error.errors() if one["type"] != "dataclass_type"] or error.errors()
        needed = " or ".join(dict.fromkeys(_said(one) for one in kinds))
        raise SettingsError(f"The benchmark '{name}' cannot take {option}={value!r}: {needed} was needed.") from None


def _said(error: ErrorDetails) -> str:
    if error["type"] == "path_type":
        return "a path"
    what = error["msg"].removeprefix("Input should be ")
    return _WORDS.get(what, what)
