"""Showing never raises."""

from __future__ import annotations

import pytest

from contrascope import shown


class Broken:
    """Something without even a text."""

    def __repr__(self) -> str:
        raise OSError("<gone>")


def test_what_cannot_be_shown_is_told_as_text_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thing: object) -> str:
        raise ValueError(f"no {thing}")

    monkeypatch.setattr(shown, "RENDERERS", {"store": fail})
    assert shown.html_of("<a>", "store") == (
        "<pre>&#x27;&lt;a&gt;&#x27;</pre><p>The store cannot be shown: ValueError: no &lt;a&gt;</p>"
    )
    assert "The text cannot be shown: OSError: &lt;gone&gt;" in shown.html_of(Broken(), "store")
