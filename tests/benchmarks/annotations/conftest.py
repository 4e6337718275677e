"""What tests of annotations share: a file that is not what it should be, and the sentence it gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrascope.errors import BenchmarkError

Refuses = Callable[..., None]


@pytest.fixture
def refuses(tmp_path: Path) -> Refuses:
    """A function that makes sure that a reader refuses a file of such content in such words."""

    def check(read: Callable[[Path], Any], content: bytes | str, message: str, *, name: str = "what.txt") -> None:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(BenchmarkError, match=message):
            read(path)

    return check
