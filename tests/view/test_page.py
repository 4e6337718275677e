"""The page of an analysis stays as it is, but for the panel and for what tells its blocks that it is alive."""

from __future__ import annotations

import pytest

from contrascope.errors import StoreError
from contrascope.view.page import report_page, store_page, with_panel
from contrascope.view.table import CellTable

LIVE = '<script>window.contrascopeLive = {cells: "cells/"}</script>'


def test_what_makes_it_alive_comes_before_every_other_script(analysis, tiny_store) -> None:
    pages = (
        report_page((analysis / "report.html").read_text(), tiny_store),
        store_page(tiny_store, CellTable(tiny_store).labels),
    )
    for page in pages:
        assert page.count(LIVE) == 1
        assert page.index(LIVE) == page.index("<script")
        assert page.index("Leafs through all cells") > page.index('id="browse"')


def test_a_script_in_the_head_comes_later_too() -> None:
    page = with_panel(
        "<head><script>early</script></head><body><main></main></body>", "<p>panel", "<script>late</script>"
    )
    assert page.index(LIVE) < page.index("early") < page.index("panel") < page.index("late") < page.index("</body>")


def test_nothing_of_the_report_is_lost(analysis, tiny_store) -> None:
    report = (analysis / "report.html").read_text()
    page = report_page(report, tiny_store)
    left = iter(page.splitlines())
    assert all(any(line == other for other in left) for line in report.splitlines() if "<script" not in line)
    assert '<a href="#all-cells">All cells</a>' in page and '<h2 id="all-cells">' in page


def test_the_last_end_of_the_body_counts() -> None:
    page = with_panel("<head></head><body><main></main><script>'</body>'</script></body>", "", "<script>ours</script>")
    assert page.index("'</body>'") < page.index("ours")


def test_the_page_of_a_store_says_what_is_in_it(tiny_store) -> None:
    page = store_page(tiny_store, CellTable(tiny_store).labels)
    for words in (tiny_store.name, f"{len(tiny_store):,}", "nontargeting", "What went in", *tiny_store.channels):
        assert words in page


def test_a_page_without_a_place_for_the_panel_is_refused() -> None:
    with pytest.raises(StoreError, match="no report of ours"):
        with_panel("<html><body></body></html>", "", "")
