"""Makes the pages of the notebooks, docs/notebooks/NAME.md, with what their cells give.

    contrascope demo --out demo
    python docs/notebooks.py demo

The notebooks are kept without outputs; this runs each in a folder with nothing but the demo in it. Pages keep words,
code, printed text and pictures, each output between two comments, so that a test can hold the words and the code of a
page against its notebook. What a picture shows is said in its cell's metadata, ``alt``, for those who do not see it.
"""

from __future__ import annotations

import base64
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent / "notebooks"
OUTPUT, END = "<!-- output -->", "<!-- end of output -->"
NOT_RUN = "<!-- not run: tests/docs/test_notebooks.py runs the notebook that this page is made from -->"
QUALITY = 85
"""Of WebP: cells keep their colours, and a picture is a tenth of its PNG."""


def notebooks() -> list[Path]:
    """All notebooks of the documentation."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: Path) -> Any:
    """A notebook after each of its cells was run in a folder.

    Raises:
        CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"{NOT_RUN}\n```python\n{cell.source}\n```")
        given = list(_outputs(cell, name, pictures))
        parts += [OUTPUT, *given, END] if given else []
    head, *rest = parts
    title, _, intro = head.partition("\n\n")
    download = f"[This page as a notebook]({name}.ipynb); `python docs/notebooks.py demo` ran it and made the page."
    return "\n\n".join([title, intro, download, *rest]) + "\n", pictures


def without_outputs(text: str) -> str:
    """A page's words and code alone."""
    return re.sub(rf"\n\n{OUTPUT}.*?{END}", "", text, flags=re.DOTALL)


def _outputs(cell: Any, name: str, pictures: dict[str, bytes]) -> Iterator[str]:
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output.output_type == "stream" and output.name == "stdout":
            yield f"```text\n{output.text.rstrip()}\n```"
        elif "image/png" in data:
            file = f"{name}-{len(pictures) + 1}.webp"
            pictures[file] = _small(base64.b64decode(data["image/png"]))
            yield f"![{cell.metadata['alt']}]({file})"
        elif "text/plain" in data:
            yield f"```text\n{data['text/plain'].rstrip()}\n```"


def _small(png: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "webp", quality=QUALITY, method=6)
    return out.getvalue()


def main(demo: str) -> None:
    """Run every notebook beside a finished demo and write its page."""
    for path in notebooks():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "demo").symlink_to(Path(demo).resolve())
            text, pictures = page(executed(path, Path(folder)), path.stem)
            text = text.replace(f"{Path(folder).resolve()}/", "")  # a run says where it lies
        for old in FOLDER.glob(f"{path.stem}-*.webp"):
            old.unlink()
        for file, picture in pictures.items():
            (FOLDER / file).write_bytes(picture)
        path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
