"""How things show themselves in a notebook: by renderers that are named here and loaded when they are asked for.

A store, a run or a result stands floors below the pictures that show it, so it knows a renderer by name only. To show
never raises: what cannot be had, as a store on a disk that is gone, is said in a sentence in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from contrascope.registry import Registry

RENDERERS = Registry(
    "renderers",
    {
        "result": "contrascope.notebook.result:result_html",
        "run": "contrascope.notebook.run:run_html",
        "screen": "contrascope.notebook.screen:screen_html",
        "store": "contrascope.notebook.store:store_html",
    },
)
"""Kind of thing -> function from it to HTML."""


def html_of(thing: Any, kind: str) -> str:
    """What a notebook shows of a thing; where that cannot be made, its text and why."""

    def text() -> str:
        return f"<pre>{escape(repr(thing))}</pre>"

    return or_why(lambda: str(RENDERERS[kind](thing)), what=kind, instead=lambda: or_why(text, what="text"))


def or_why(make: Callable[[], str], *, what: str, instead: Callable[[], str] = lambda: "") -> str:
    """Some HTML; or, where it cannot be made, something else and a sentence that says why."""
    try:
        return make()
    except Exception as error:
        why = " ".join(str(error).split())[:500]
        return f"{instead()}<p>The {escape(what)} cannot be shown: {escape(type(error).__name__)}: {escape(why)}</p>"
