"""The site is built without a warning and read without a network, and its references hold all that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer.main

import contrascope
from contrascope import config
from contrascope.cli import app
from contrascope.config import Settings

pytest.importorskip("material", reason="the site is made by what the extra `docs` installs")
ROOT = Path(__file__).parents[2]
FETCHING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"), ("use", "href")}
"""What a browser fetches by itself; links that a reader may follow are not among it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stderr
    assert "WARNING -" not in built.stderr
    return folder


class Fetched(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[name] or "" for of, name in FETCHING if of == tag and name in values]
        self.addresses += re.findall(r"url\(([^)]*)\)", values.get("style") or "")


def html_pages(site: Path) -> Iterator[tuple[str, str]]:
    for page in sorted(site.rglob("*.html")):
        yield str(page.relative_to(site)), page.read_text(encoding="utf-8")


def words(html: str) -> str:
    """A page's text, without tags and in single spaces."""
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    for name, html in html_pages(site):
        parser = Fetched()
        parser.feed(html)
        assert parser.addresses, name
        assert not [address for address in parser.addresses if re.match(r"(\w+:)?//", address)], name
    for style in site.rglob("*.css"):
        outside = re.findall(r"(?:@import|url\()\s*[\"']?(?:\w+:)?//[^\"')]*", style.read_text(encoding="utf-8"))
        assert not outside, style


def test_the_site_is_read_and_searched_from_disk_without_asking_anybody(site: Path, browser_page: Any) -> None:
    browser_page.goto((site / "index.html").as_uri())
    browser_page.locator(".md-search__input").click()
    browser_page.keyboard.type("pixel_size_um")
    browser_page.locator(".md-search-result__meta", has_text="matching document").wait_for()


def test_the_reference_of_commands_has_every_command_with_every_option(site: Path) -> None:
    text = words((site / "commands.html").read_text(encoding="utf-8"))
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"contrascope {name}" in text
        for option in (name for one in command.params for name in one.opts if name.startswith("--")):
            assert option in text, f"{name} {option}"


def test_the_reference_of_the_screen_file_says_something_of_every_setting(site: Path) -> None:
    html = (site / "screen-file.html").read_text(encoding="utf-8")
    assert "<!-- settings" not in html
    rows = [
        [words(cell) for cell in re.split(r"</t[dh]>", row)] for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    ]
    said = {row[0] for row in rows if len(row) > 2 and row[-2]}
    kinds = [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, Settings)]
    assert not {name for kind in kinds for name in kind.model_fields} - said


def test_the_reference_of_the_package_has_every_public_name(site: Path) -> None:
    html = (site / "api.html").read_text(encoding="utf-8")
    assert not [name for name in contrascope.__all__ if f'id="contrascope.{name}"' not in html]
