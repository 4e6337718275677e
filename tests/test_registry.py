"""Parts are found by name, those of other packages too."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from contrascope import registry
from contrascope.errors import SettingsError
from contrascope.registry import ARCHITECTURES, BENCHMARKS, IMPORTERS, MODELS, READERS, Registry


@pytest.mark.parametrize("parts", [READERS, IMPORTERS, ARCHITECTURES, MODELS, BENCHMARKS], ids=lambda parts: parts.kind)
def test_every_registered_name_leads_to_a_part(parts: Registry) -> None:
    assert list(parts) == sorted(parts)
    for name in parts:
        assert name in parts
        assert parts[name] is not None


def test_a_name_that_is_unknown_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match="cvae, cvae-s, cvae-z, mcvae, three-space, vae"):
        MODELS["gan"]


def test_a_part_may_be_added_once_and_again_but_not_another_of_its_name() -> None:
    parts = Registry("things", {"path": "pathlib:Path"})
    parts.add("join", "os.path:join")
    parts.add("join", "os.path:join")
    assert list(parts) == ["join", "path"]
    with pytest.raises(SettingsError, match="already has 'path'"):
        parts.add("path", "pathlib:PurePath")
    assert parts["path"].__name__ == "Path"


def test_another_package_adds_parts_but_replaces_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def outside(*, group: str) -> list[EntryPoint]:
        named = {"pure": "pathlib:PurePath", "path": "os.path:join"}
        return [EntryPoint(name, value, group) for name, value in named.items() if group == "contrascope.things"]

    monkeypatch.setattr(registry, "entry_points", outside)
    parts = Registry("things", {"path": "pathlib:Path"})
    assert list(parts) == ["path", "pure"]
    assert parts["path"].__name__ == "Path"
    assert parts["pure"].__name__ == "PurePath"


def test_a_part_is_not_imported_before_it_is_asked_for() -> None:
    parts = Registry("things", {"absent": "no_such_package_anywhere:part"})
    assert list(parts) == ["absent"]
    with pytest.raises(ModuleNotFoundError):
        parts["absent"]
