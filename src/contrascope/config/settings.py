"""Settings of any kind: every key is known, and what is wrong with them is said in one paragraph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from contrascope.errors import SettingsError

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Settings whose keys are all known; frozen once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's yes and true are 1 in Python; somebody who writes them for a number means something else."""
        taken = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if isinstance(value, bool) and bool not in taken and taken & {int, float}:
            raise ValueError(f"{str(value).lower()} was given, and a number was needed")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """What a field may be: the members of a union, without what they are annotated with."""
    if get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _kinds(member)
    else:
        yield get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def validated(kind: type[S], values: object, *, where: str) -> S:
    """Settings of a kind from plain values, or one paragraph on all that is wrong with them."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        sentences = " ".join(_sentence(e, kind) for e in error.errors())
        raise SettingsError(f"{where} cannot be used: {sentences}") from None


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key may be given once; PyYAML would take the last of several without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML's own, of a mapping without the same key twice."""
        given = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := sorted({key for key in given if given.count(key) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"given more than once: {', '.join(twice)}; keep one of each", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def parsed_yaml(text: str) -> Any:
    """What a text says as YAML.

    Raises:
        ValueError: Nothing, and why in one line.
    """
    try:
        values = yaml.load(text, _OnceLoader)
        json.dumps(values, default=str, skipkeys=True)  # finds a value that holds itself
    # Dates that there are not, and tags that do not fit, are other errors than PyYAML's own.
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split()) or "it cannot be made sense of") from None
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        values = parsed_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}. Give the path of a screen file.") from None
    except IsADirectoryError:
        raise SettingsError(f"{path} is a folder. Give the path of a screen file in it.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds {type(values).__name__}, a mapping of settings was needed.")
    return values


def fingerprint(values: object) -> str:
    """A short name for a value: equal JSON, equal fingerprint (16 hexadecimal digits of SHA-256)."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sentence(error: Any, kind: type[BaseModel]) -> str:
    """One pydantic complaint as a sentence."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, error["loc"][:-1])
        return f"'{where}' is not a setting" + (f"; known here: {', '.join(known)}." if known else ".")
    if error["type"] == "missing":
        return f"'{where}' is missing."
    if error["type"] == "value_error":
        return f"'{where}': {error['ctx']['error']}." if where else f"{error['ctx']['error']}."
    return f"'{where or 'settings'}' is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}."


def _keys_at(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        field = kind.model_fields.get(str(part))
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]  # one of them may be None
        groups = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if len(groups) != 1:
            return []
        kind = groups[0]
    return sorted(kind.model_fields)
