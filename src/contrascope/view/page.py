"""The page: that of an analysis with a panel of all cells in it, or one made around the panel for a store."""

from __future__ import annotations

import polars as pl

from contrascope.errors import StoreError
from contrascope.report.accounts import counts, dropped
from contrascope.report.browser import Browser
from contrascope.report.report import Fact, Section, Table, Text, render_report, script_text
from contrascope.store.store import CropStore

TITLE = "All cells"
_LIVE = '<link rel="icon" href="data:,">\n<script>window.contrascopeLive = {cells: "cells/"}</script>\n'
"""Tells the blocks of the page where pictures of cells are; and that there is no icon to ask for."""


def panel_of(store: CropStore) -> Browser:
    """The panel that leafs through a store."""
    return Browser(len(store), tuple(store.channels), store.crop_size, store.pixel_size_um)


def report_page(report: str, store: CropStore) -> str:
    """The page of an analysis, alive.

    Raises:
        StoreError: It is no report of ours.
    """
    panel = panel_of(store)
    section = Section(TITLE, [panel])
    html = f'<section>\n<h2 id="{section.anchor}">{TITLE}</h2>\n{panel.html()}\n</section>\n'
    scripts = "".join(f"<script>\n{script_text(name)}\n</script>\n" for name in panel.scripts)
    page = with_panel(report, html, scripts)
    link = f'<a href="#{section.anchor}">{TITLE}</a>\n'
    return page.replace(_NAVIGATION, f"{_NAVIGATION}\n{link}", 1)


def store_page(store: CropStore, labels: pl.DataFrame) -> str:
    """A page for a store by itself; ``labels`` are the columns of its table that say who a cell is."""
    told = render_report(
        store.name,
        subtitle=f"{store!r}.",
        facts=[
            Fact(f"{len(store):,}", f"cells stored of {store.account.rows:,} in the table"),
            Fact(f"{len(store.perturbations):,}", "perturbations besides the controls"),
            Fact(f"{len(store.channels)}", f"channels: {', '.join(store.channels)}"),
        ],
        sections=[
            Section(TITLE, [panel_of(store)]),
            Section(
                "What went in",
                [
                    Text(f"Every row of the cell table is accounted for: {store.account}."),
                    Table(dropped(store.account), "Cells by what became of them."),
                    Table(counts(labels), "Cells by perturbation; the rarest and the most frequent.", decimals=0),
                ],
            ),
        ],
    )
    return with_panel(told, "", "")


def with_panel(page: str, section: str, scripts: str) -> str:
    """A page with a section before its others, scripts after its others, and before all of them what makes it alive.

    Raises:
        StoreError: The page has no place for them, so it is none of ours.
    """
    if any(mark not in page for mark in (_HEAD, _MAIN, _BODY)):
        raise StoreError(
            "report.html is no report of ours: it has no head, main part and body. Make it again with "
            "`contrascope report SCREEN.yaml --out FOLDER`."
        )
    before, after = page.rsplit(_BODY, 1)
    page = before + scripts + _BODY + after
    page = page.replace(_MAIN, f"{_MAIN}\n{section}", 1)
    first = min(at for at in (page.find("<script"), page.find(_HEAD)) if at >= 0)
    return page[:first] + _LIVE + page[first:]


_HEAD, _MAIN, _BODY = "</head>", "<main>", "</body>"
_NAVIGATION = '<nav aria-label="Sections">'
