"""Who is answered, and how: the browser of whoever started the view, and nobody else.

Any page that the browser has open can send requests to this machine, and so can its other users. Four things keep them
away: the view listens on the loopback address alone; the address holds a random key; the Host must be our own, which
a name that was bent to this machine (DNS rebinding) is not; and the browser must not say that another site asks.
Nothing but GET and HEAD is answered, so nothing can be changed.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

ADDRESS = "127.0.0.1"
_METHODS = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SENTENCES = {
    400: "The request is not understood.",
    404: "There is nothing of this name here.",
    405: "Only GET and HEAD are answered: a view changes nothing.",
    500: "Something went wrong in the view; the terminal in which it runs says what.",
}


class RefusedError(HTTPError):
    """An answer that says no, in one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(status)
        self.sentence = sentence


@dataclass(frozen=True)
class Access:
    """What a request needs to be answered.

    Attributes:
        port: That we listen on.
        token: The first part of every path.
    """

    port: int
    token: str

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self.hosts[0]}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser may call us; it leaves out the port where that is the web's own."""
        names = (ADDRESS, "localhost")
        return names if self.port == 80 else tuple(f"{name}:{self.port}" for name in names)

    def check(self, request: HTTPServerRequest) -> None:
        """Let a request pass, or not.

        Raises:
            RefusedError: It comes from elsewhere, or has no key, or wants to change something.
        """
        if request.headers.get("Host") not in self.hosts:
            raise RefusedError(403, f"This view is at http://{self.hosts[0]} and has no other name.")
        site, origin = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Origin")
        if site not in ("none", "same-origin") or origin not in (None, *(f"http://{host}" for host in self.hosts)):
            raise RefusedError(403, "Other pages may not ask this view: open its address in the browser itself.")
        key = request.path.split("/")[1] if request.path.startswith("/") else ""
        if not hmac.compare_digest(key.encode(), self.token.encode()):
            raise RefusedError(
                403, "The key is missing or wrong: open the whole address that `contrascope view` printed."
            )
        if request.method not in _METHODS:
            raise RefusedError(405, _SENTENCES[405])


class Guarded(RequestHandler):
    """Checks each request, and answers what it refuses in one sentence. What is not overridden is not found."""

    def set_default_headers(self) -> None:
        """Headers of every answer, refusals too."""
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """The check, before anything is done."""
        self.settings["access"].check(self.request)

    async def get(self, *path: str) -> None:
        """Nothing is here, unless a handler says otherwise."""
        raise RefusedError(404, _SENTENCES[404])

    async def head(self, *path: str) -> None:
        """As GET; the server leaves out what follows the headers."""
        await self.get(*path)

    def compute_etag(self) -> None:
        """None: what is not kept need not be recognised."""

    def write_error(self, status_code: int, **details: Any) -> None:
        """The refusal as JSON, without a word on how the program came to it."""
        error = details.get("exc_info", (None, None))[1]
        if status_code == 405:
            self.set_header("Allow", ", ".join(_METHODS))
        sentence = error.sentence if isinstance(error, RefusedError) else _SENTENCES.get(status_code, _SENTENCES[400])
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"error": sentence}))
