"""Puts the files that pages show into the pages: `python docs/sources.py`.

A line that is a file's path in backticks and a colon, "`examples/extending/conv3.py`:", is followed by a block of code,
and the block is the file. A test says which page has fallen behind its file.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(`(?P<path>[\w/.-]+)`:\n\n```(?P<language>\w+)\n).*?(^```$)", re.MULTILINE | re.DOTALL)


def with_sources(page: str) -> str:
    """The text of a page with its blocks as the files are now."""
    return BLOCK.sub(lambda found: found[1] + (ROOT / found["path"]).read_text(encoding="utf-8") + found[4], page)


def pages() -> list[Path]:
    """Pages that show files."""
    return sorted((ROOT / "docs" / "extending").glob("*.md"))


if __name__ == "__main__":
    for page in pages():
        page.write_text(with_sources(page.read_text(encoding="utf-8")), encoding="utf-8")
