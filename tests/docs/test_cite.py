"""CITATION.cff says what the package and the page say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_package_and_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for key, ours in {"title": "name", "version": "version", "license": "license", "abstract": "description"}.items():
        assert CITATION[key] == project[ours], key
    assert CITATION["keywords"] == project["keywords"]


def test_the_page_names_the_paper_as_the_citation_does() -> None:
    page = " ".join((ROOT / "docs" / "cite.md").read_text(encoding="utf-8").replace("> ", "").split())
    paper = CITATION["preferred-citation"]
    names = [f"{author['given-names']} {author['family-names']}" for author in paper["authors"]]
    assert ", ".join(names) in page
    for key in ("title", "url", "collection-title"):
        assert paper[key] in page, key
