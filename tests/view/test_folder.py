"""What is no analysis and no store is refused in a paragraph, and so is what leads out of the folder."""

from __future__ import annotations

import shutil

import pytest

from contrascope.errors import SettingsError, StoreError
from contrascope.view.folder import open_folder, read_report


def test_an_analysis_has_a_report_and_a_store_has_none(analysis, tiny_store) -> None:
    assert open_folder(analysis).report == analysis / "report.html"
    assert open_folder(tiny_store.path).report is None
    assert (
        open_folder(analysis).store.fingerprint
        == tiny_store.fingerprint
        == open_folder(tiny_store.path).store.fingerprint
    )


def test_an_analysis_without_report_is_shown_by_its_store(analysis, tmp_path) -> None:
    shutil.copytree(analysis / "cells.zarr", tmp_path / "cells.zarr")
    assert open_folder(tmp_path).report is None


def test_folders_of_other_things_are_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "ingest.json").write_text("{}")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "zarr.json").write_text('{"zarr_format": 3}')
    for name, words in {
        "nowhere": "does not exist. Give the folder",
        "file": "is a file",
        ".": "has no cells.zarr in it",
        "unfinished": "extraction was not finished",
        "foreign": "no store of contrascope",
    }.items():
        with pytest.raises(StoreError, match=words):
            open_folder(tmp_path / name)
    with pytest.raises(SettingsError, match="is a URL"):
        open_folder("s3://bucket/cells.zarr")


def test_a_report_of_somebody_else_is_refused(analysis, tmp_path) -> None:
    shutil.copytree(analysis, tmp_path / "a")
    for text in (b"<p>hello", b"\xff\xfe no text"):
        (tmp_path / "a/report.html").write_bytes(text)
        with pytest.raises(StoreError, match="contrascope report"):
            open_folder(tmp_path / "a")


@pytest.mark.parametrize("name", ["report.html", "cells.zarr", "cells.zarr/cells.parquet", "cells.zarr/images"])
def test_links_that_lead_out_are_refused(analysis, tmp_path, name) -> None:
    folder = tmp_path / "a"
    shutil.copytree(analysis, folder)
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="a link that leads out of"):
        open_folder(folder)


def test_a_report_that_becomes_a_link_later_is_refused_then(analysis, tmp_path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(analysis, folder)
    report = open_folder(folder).report
    (tmp_path / "secret").write_text("<head></head><main></main><body></body>")
    report.unlink()
    report.symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="a link that leads out of"):
        read_report(report)


def test_a_folder_that_is_itself_a_link_is_what_was_named(analysis, tmp_path) -> None:
    (tmp_path / "link").symlink_to(analysis)
    assert open_folder(tmp_path / "link").report is not None
