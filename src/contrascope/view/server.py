"""The view: pages, pictures and the table of one store, served to the browser of this machine.

No path of a request is ever a path of a file. The answers are these, and no others:

    TOKEN/                 the page
    TOKEN/cells/ROW.webp   the picture of a cell; ?channel=NAME in grey, ?size=PIXELS of its longer side
    TOKEN/api/columns      columns of the cell table, values of those that cells are chosen by, with counts
    TOKEN/api/cells        a page of the table; ?perturbation= guide= plate= well= control= sort= offset= limit=
    TOKEN/api/cell/ROW     all that the table says of a cell

Files are read and pictures drawn by threads, so that the server can answer others meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import polars as pl
from tornado.httpserver import HTTPServer
from tornado.web import Application

from contrascope.errors import ContrascopeError, SettingsError
from contrascope.report.report import page_policy
from contrascope.store.store import CropStore, open_store
from contrascope.view.asked import nothing_asked, page_asked, picture_asked, row_asked
from contrascope.view.draw import CellPictures
from contrascope.view.folder import open_folder, read_report
from contrascope.view.guard import ADDRESS, Access, Guarded, RefusedError
from contrascope.view.page import report_page, store_page
from contrascope.view.table import CellTable

P = ParamSpec("P")
T = TypeVar("T")
_THREADS = 4
_LARGEST_BODY, _LARGEST_HEADER = 1024, 2**14
"""Bytes: a GET has no body."""

_UNREADABLE_FILES = (ContrascopeError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""A damaged table makes polars panic, which is no ``Exception``: let through, it would leave the request unanswered."""
_MADE_AGAIN = "The store was made again since this view began: end the view (Ctrl-C) and start it anew."
_UNREADABLE = (
    "What lies in the folder cannot be read: `contrascope verify` names the files of a store that are damaged, "
    "`contrascope report` makes the page again."
)


class View:
    """What a folder holds, ready to be shown on a free port of this machine.

    Args:
        path: An analysis or a crop store.
        port: To listen on; 0 takes any that is free.

    Raises:
        StoreError: The folder is neither, or cannot be used.
        SettingsError: The port is taken.
    """

    def __init__(self, path: str | Path, *, port: int = 0):
        self._shown = open_folder(path)
        self.store = self._shown.store
        self._mark = _mark(self.store)
        self.table = CellTable(self.store)
        self.pictures = CellPictures(self.store)
        self._socket = _listening(port)
        self.access = Access(self._socket.getsockname()[1], secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """Address of the page, with the key that opens it."""
        return self.access.url

    def page(self) -> str:
        """The page; that of an analysis as it lies in its folder now."""
        if self._shown.report is None:
            return self._store_page
        return report_page(read_report(self._shown.report), self.store)

    def is_as_it_was(self) -> bool:
        """Whether the folder still holds the store that was opened: labels and pictures have to be of one store.

        Raises:
            StoreError: It holds none that can be opened.
        """
        if (mark := _mark(self.store)) != self._mark:
            if open_store(self.store.path).fingerprint != self.store.fingerprint:
                return False
            self._mark = mark
        return True

    def serve(self) -> None:
        """Answer until ``KeyboardInterrupt``, which is passed on."""
        asyncio.run(self.answer())

    async def answer(self) -> None:
        """Answer until cancelled."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="contrascope-view") as threads:
            server = HTTPServer(
                _application(self, threads), max_body_size=_LARGEST_BODY, max_header_size=_LARGEST_HEADER
            )
            server.add_socket(self._socket)
            try:
                await asyncio.Event().wait()
            finally:
                server.stop()
                await server.close_all_connections()
                threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _store_page(self) -> str:
        return store_page(self.store, self.table.labels)


def _mark(store: CropStore) -> tuple[int, int, int]:
    """What changes when a store's attributes are written anew."""
    facts = (Path(store.path) / "zarr.json").stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _listening(port: int) -> socket.socket:
    try:
        listening = socket.create_server((ADDRESS, port))
    except OSError as error:
        raise SettingsError(
            f"Port {port} cannot be listened on: {error.strerror}. Name another with --port, or none: then one that is "
            f"free is taken."
        ) from None
    listening.setblocking(False)
    return listening


def _application(view: View, threads: ThreadPoolExecutor) -> Application:
    routes = [
        (r"/[^/]+/", _Page),
        (r"/[^/]+/cells/([^/]+)\.webp", _Picture),
        (r"/[^/]+/api/columns", _Columns),
        (r"/[^/]+/api/cells", _Cells),
        (r"/[^/]+/api/cell/([^/]+)", _Cell),
    ]
    return Application(
        routes,
        default_handler_class=Guarded,
        log_function=lambda handler: None,  # the key is part of every path and belongs in no log
        access=view.access,
        view=view,
        threads=threads,
    )


class _Answer(Guarded):
    @property
    def view(self) -> View:
        return self.settings["view"]

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in a thread; what is wrong with files is said in one sentence, without their paths."""
        loop = asyncio.get_running_loop()

        def checked() -> T:
            if not self.view.is_as_it_was():
                raise RefusedError(409, _MADE_AGAIN)
            return work(*args, **kwargs)

        try:
            return await loop.run_in_executor(self.settings["threads"], checked)
        except _UNREADABLE_FILES:
            raise RefusedError(500, _UNREADABLE) from None

    def as_json(self, facts: Any) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(facts, ensure_ascii=False, allow_nan=False))


class _Page(_Answer):
    async def get(self, *path: str) -> None:
        nothing_asked(self.request.query_arguments)
        page = await self.aside(self.view.page)
        policy = f"{page_policy()}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        self.set_header("Content-Security-Policy", policy)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page)


class _Picture(_Answer):
    async def get(self, *path: str) -> None:
        row = row_asked(path[0], len(self.view.store))
        channel, size = picture_asked(self.request.query_arguments, self.view.store.channels)
        picture = await self.aside(self.view.pictures.webp, row, channel=channel, size=size)
        self.set_header("Content-Type", "image/webp")
        self.finish(picture)


class _Columns(_Answer):
    async def get(self, *path: str) -> None:
        nothing_asked(self.request.query_arguments)
        columns = await self.aside(self.view.table.columns)
        self.as_json({"cells": len(self.view.store), "columns": columns})


class _Cells(_Answer):
    async def get(self, *path: str) -> None:
        table = self.view.table
        query, offset, limit = page_asked(self.request.query_arguments, table.sortable, table.labels.columns)
        total, cells = await self.aside(table.page, query, offset=offset, limit=limit)
        self.as_json({"total": total, "offset": offset, "cells": cells})


class _Cell(_Answer):
    async def get(self, *path: str) -> None:
        row = row_asked(path[0], len(self.view.store))
        nothing_asked(self.request.query_arguments)
        self.as_json(await self.aside(self.view.table.cell, row))
