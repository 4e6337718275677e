"""A view answers with the store's own cells, to several at once, and leaves the folder as it was."""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
from PIL import Image

from contrascope.errors import SettingsError
from contrascope.figures.gallery import composite
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.view.server import View


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Each file and folder: when it was changed, its rights, its bytes."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_the_page_of_an_analysis_is_its_report_alive(analysis, ask_analysis) -> None:
    answer = ask_analysis()
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "AP 1.00 &lt;b&gt;" in page and "window.contrascopeLive" in page
    assert "script-src" in answer.headers["content-security-policy"]


def test_a_report_made_anew_is_shown_anew(analysis, serve, tmp_path) -> None:
    folder = Path(shutil.copytree(analysis, tmp_path / "a"))
    with serve(folder) as ask:
        report = folder / "report.html"
        report.write_text(report.read_text().replace("AP 1.00", "AP 0.99"))
        assert b"AP 0.99" in ask().body
        report.unlink()
        assert ask().status == 500


def test_labels_of_one_store_never_stand_beside_pictures_of_another(tiny_store, serve, tmp_path) -> None:
    def small(shade: int) -> CropStore:
        cells = pl.DataFrame({"guide": ["g", "nt"], "perturbation": ["G", "nt"], "control": [False, True]})
        images = np.full((2, 1, 4, 4), shade, dtype=np.uint8)
        return store_from_arrays(images, cells, tmp_path / "c.zarr", channels=["DNA"])

    small(1)
    with serve(tmp_path / "c.zarr") as ask:
        (tmp_path / "c.zarr" / "zarr.json").touch()
        assert ask("cells/0.webp").status == 200  # the same store
        shutil.rmtree(tmp_path / "c.zarr")
        small(2)
        for path in ("", "cells/0.webp", "api/cells", "api/cell/0"):
            answer = ask(path)
            assert answer.status == 409 and b"start it anew" in answer.body


def test_pictures_are_those_of_the_cells(tiny_store, ask) -> None:
    for row in (0, 3, len(tiny_store) - 1):
        answer = ask(f"cells/{row}.webp")
        assert answer.headers["content-type"] == "image/webp"
        drawn = composite(tiny_store.read(np.array([row])), limits=ask.view.pictures.limits)[0]
        shown = np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB"))
        assert np.abs(shown / 255 - drawn).max() < 0.6 / 255
    grey = ask(f"cells/3.webp?channel={quote(tiny_store.channels[1])}&size=32").body
    assert Image.open(io.BytesIO(grey)).size == (32, 32)
    assert grey == ask.view.pictures.webp(3, channel=1, size=32)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("cells/{n}.webp", 404),
        ("cells/-1.webp", 404),
        ("cells/1e1.webp", 404),
        ("cells/0.webp?size=0", 400),
        ("cells/0.webp?size=99999", 400),
        ("cells/0.webp?channel=nothing", 400),
        ("cells/0.webp?v=1", 400),
        ("cells/0.webp?size=64&size=65", 400),
        ("api/cell/{n}", 404),
        ("api/cell/x", 404),
        ("api/cell/0?x=1", 400),
        ("api/cells?limit=1000000", 400),
        ("api/cells?sort=nonsense", 400),
        ("api/cells?perturbation=%ff", 400),
        ("api/columns?x=1", 400),
        ("?x=1", 400),
    ],
)
def test_what_is_not_there_and_what_is_not_understood_differ(tiny_store, ask, path, status) -> None:
    answer = ask(path.format(n=len(tiny_store)))
    assert answer.status == status
    assert answer.facts["error"].count(". ") == 0


def test_cells_are_chosen_by_the_values_of_columns(tiny_store, ask) -> None:
    name = tiny_store.perturbations[-1]
    kept = tiny_store.cells.with_row_index("row").filter(pl.col("perturbation") == name).sort("x", descending=True)
    facts = ask(f"api/cells?perturbation={quote(name)}&control=false&sort=-x&offset=2&limit=5").facts
    assert (facts["total"], facts["offset"]) == (kept.height, 2)
    assert [cell["row"] for cell in facts["cells"]] == kept["row"].slice(2, 5).to_list()
    assert ask(f"api/cells?perturbation={quote(name)}&control=true").facts == {"total": 0, "offset": 0, "cells": []}


def test_columns_and_cells_are_json(tiny_store, ask) -> None:
    facts = ask("api/columns").facts
    assert facts["cells"] == len(tiny_store)
    assert [column["name"] for column in facts["columns"]] == tiny_store.cells.columns
    assert ask("api/cell/4").facts == tiny_store.cells.row(4, named=True)


def test_many_at_once_get_what_one_gets_alone(tiny_store, ask) -> None:
    rows = list(range(0, len(tiny_store), max(1, len(tiny_store) // 60)))
    alone = [ask(f"cells/{row}.webp").body for row in rows]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda row: ask(f"cells/{row}.webp").body, rows)) == alone


def test_nothing_is_written_also_where_nothing_can_be(analysis, serve, tmp_path) -> None:
    folder = Path(shutil.copytree(analysis, tmp_path / "a"))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = everything(folder)
    with serve(folder) as ask:
        for path in ("", "cells/0.webp", "cells/1.webp?size=200", "api/columns", "api/cells?sort=y", "api/cell/0"):
            assert ask(path).status == 200
        assert ask("cells/0.webp", "POST").status == 405
    assert everything(folder) == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


def test_damage_is_said_without_where(analysis, serve, tmp_path) -> None:
    folder = Path(shutil.copytree(analysis, tmp_path / "a"))
    with serve(folder) as ask:
        shard = folder / "cells.zarr/images/c/0/0/0/0"
        shard.write_bytes(b"\0" * shard.stat().st_size)
        (folder / "cells.zarr/cells.parquet").write_bytes(b"no parquet")
        for path in ("cells/0.webp", "api/cell/0", "api/cells?sort=y"):
            answer = ask(path)
            assert answer.status == 500, path
            assert "contrascope verify" in answer.facts["error"] and str(tmp_path) not in answer.facts["error"]
        assert ask("api/cells").status == 200  # what is held does not need the file


def test_it_listens_on_the_loopback_alone(ask) -> None:
    assert ask.view._socket.getsockname()[0] == "127.0.0.1"
    assert ask.view.url == f"http://127.0.0.1:{ask.view.access.port}/{ask.view.access.token}/"


def test_a_port_that_is_taken_is_refused(tiny_store, ask) -> None:
    with pytest.raises(SettingsError, match=f"Port {ask.view.access.port} cannot be listened on"):
        View(tiny_store.path, port=ask.view.access.port)


def test_it_goes_on_without_those_who_hang_up(ask) -> None:
    import socket

    for _ in range(20):
        with socket.create_connection(("127.0.0.1", ask.view.access.port)) as connection:
            host = f"Host: 127.0.0.1:{ask.view.access.port}"
            connection.sendall(f"GET /{ask.view.access.token}/cells/0.webp HTTP/1.1\r\n{host}\r\n\r\n".encode())
    assert ask("cells/0.webp").status == 200
