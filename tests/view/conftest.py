"""Views that are being served: of the tiny store, and of an analysis around it."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contrascope.report.report import Section, Text, render_report
from contrascope.store.store import CropStore
from contrascope.view.server import View


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def facts(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a view as a program on this machine could."""

    def __init__(self, view: View):
        self.view = view

    def __call__(self, path: str = "", method: str = "GET", *, below: str | None = None, **headers: str) -> Answer:
        """``path`` behind the key; ``below`` instead of the key and what stands before it."""
        start = f"/{self.view.access.token}/" if below is None else below
        connection = http.client.HTTPConnection("127.0.0.1", self.view.access.port, timeout=30)
        try:
            connection.request(method, start + path, headers={k.replace("_", "-"): text for k, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): text for k, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(path: Path | str, *, port: int = 0) -> Iterator[Client]:
    """A view served by a thread, until the end of the block."""
    view = View(path, port=port)
    loop = asyncio.new_event_loop()
    task = loop.create_task(view.answer())

    def serve() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Client(view)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


@pytest.fixture(scope="session")
def analysis(tiny_store: CropStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``contrascope run`` leaves it, as far as a view looks at it. Read only."""
    folder = tmp_path_factory.mktemp("analysis")
    shutil.copytree(tiny_store.path, folder / "cells.zarr")
    page = render_report("Tiny", subtitle="", facts=[], sections=[Section("Results", [Text("AP 1.00 <b>")])])
    page = page.replace("</body>", "<script>window.seen = window.contrascopeLive;</script>\n</body>")
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Client]]:
    """Serves a folder for the length of a block, and gives who asks it."""
    return serving


@pytest.fixture(scope="session")
def ask(tiny_store: CropStore) -> Iterator[Client]:
    """Asks the view of the tiny store."""
    with serving(tiny_store.path) as client:
        yield client


@pytest.fixture(scope="session")
def ask_analysis(analysis: Path) -> Iterator[Client]:
    """Asks the view of the analysis."""
    with serving(analysis) as client:
        yield client
