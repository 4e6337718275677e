"""Only the browser of whoever started the view is answered, and nothing can be changed."""

from __future__ import annotations

import re
import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.view.guard import Access

PATHS = ["", "cells/0.webp", "api/columns", "api/cells", "api/cell/0"]
PATHS_OF_FILES = [
    "report.html",
    "cells.zarr/zarr.json",
    "zarr.json",
    "cells.parquet",
    "../zarr.json",
    "..%2fzarr.json",
    "%2e%2e/%2e%2e/etc/passwd",
    "cells/../../../../etc/passwd",
    "cells/%2Fetc%2Fpasswd.webp",
    "/etc/passwd",
    "//etc/passwd",
    "cells/..\\..\\zarr.webp",
    "cells/0.webp/../../zarr.json",
    "cells/0%00.webp",
    "static/browse.js",
    "api",
    "api/cells/",
    "favicon.ico",
]


def refusal(answer) -> str:
    """The sentence of a refusal, which says nothing of the program or of the machine."""
    assert set(answer.facts) == {"error"}
    sentence = answer.facts["error"]
    assert sentence.endswith(".") and "\n" not in sentence
    assert not re.search(r"Traceback|File \"|line \d|/tmp|/home|/root|\.py", sentence)
    return sentence


@pytest.mark.parametrize("path", PATHS)
def test_with_the_key_every_path_answers_get_and_head_alike(ask, path) -> None:
    got, head = ask(path), ask(path, "HEAD")
    assert got.status == head.status == 200
    assert got.body and not head.body
    assert head.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["", "/", "//", "/wrong/", "/{token}x/", "/{short}/", "/{upper}/", "x", "/é/", "/%00/"])
def test_without_the_key_there_is_nothing(ask, path, key) -> None:
    token = ask.view.access.token
    below = key.format(token=token, short=token[:-1], upper=token.swapcase())
    below = (below or "/").encode("latin-1", "replace").decode("latin-1").replace("é", "%C3%A9")
    answer = ask(path, below=below)
    assert answer.status in (400, 403) and token not in answer.body.decode()


def test_keys_are_long_and_never_the_same(ask, ask_analysis) -> None:
    tokens = {client.view.access.token for client in (ask, ask_analysis)}
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost", "127.0.0.1:1", "[::1]:{port}", "0.0.0.0:{port}"],
)
@pytest.mark.parametrize("path", PATHS)
def test_another_host_is_refused(ask, path, host) -> None:
    answer = ask(path, Host=host.format(port=ask.view.access.port))
    assert answer.status == 403 and "no other name" in refusal(answer)


def test_both_names_of_the_loopback_are_answered(ask) -> None:
    assert all(ask(Host=f"{name}:{ask.view.access.port}").status == 200 for name in ("127.0.0.1", "localhost"))


def test_browsers_leave_out_the_port_of_the_web() -> None:
    assert Access(80, "key").hosts == ("127.0.0.1", "localhost")
    assert Access(8080, "key").url == "http://127.0.0.1:8080/key/"


@pytest.mark.parametrize("lines", ["", "Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"])
def test_no_host_and_two_hosts_are_refused(ask, lines) -> None:
    access = ask.view.access
    with socket.create_connection(("127.0.0.1", access.port)) as connection:
        text = f"GET /{access.token}/ HTTP/1.0\r\n{lines.format(port=access.port)}\r\n"
        connection.sendall(text.encode())
        assert b" 200 " not in connection.recv(100)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", PATHS)
def test_another_site_is_refused(ask, path, site) -> None:
    answer = ask(path, Sec_Fetch_Site=site)
    assert answer.status == 403 and "Other pages" in refusal(answer)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_another_origin_is_refused_and_none_is_ever_allowed(ask, origin) -> None:
    answer = ask("api/cells", Origin=origin.format(port=ask.view.access.port))
    assert answer.status == 403
    ours = ask("api/cells", Origin=f"http://127.0.0.1:{ask.view.access.port}", Sec_Fetch_Site="same-origin")
    assert ours.status == 200
    assert not [name for name in {**answer.headers, **ours.headers} if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", [*PATHS, "nothing"])
def test_other_methods_are_refused(ask, path, method) -> None:
    answer = ask(path, method)
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"
    assert "changes nothing" in refusal(answer)


@pytest.mark.parametrize("path", PATHS_OF_FILES)
def test_no_path_is_a_path_of_a_file(ask, ask_analysis, path) -> None:
    for client in (ask, ask_analysis):
        answer = client(path)
        assert answer.status == 404, path
        refusal(answer)


@pytest.mark.parametrize("path", [*PATHS, "nothing", "cells/99999999.webp", "api/cells?limit=0"])
def test_every_answer_forbids_what_can_be_forbidden(ask, path) -> None:
    headers = ask(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy and "http" not in policy
    assert "server" not in headers and "set-cookie" not in headers


def test_what_is_no_http_is_not_answered_and_harms_nobody(ask) -> None:
    with socket.create_connection(("127.0.0.1", ask.view.access.port)) as connection:
        connection.sendall(b"\x00\xff garbage\r\n\r\n")
        assert b" 200 " not in connection.recv(100)
    assert ask("api/cells").status == 200


HOSTILE = st.text(st.sampled_from(string.printable.strip() + "é\u202e"), max_size=30)


@given(path=HOSTILE, text=HOSTILE)
def test_no_path_and_no_parameter_breaks_it(ask, path, text) -> None:
    def quoted(text: str) -> str:
        return "".join(c if (c.isascii() and c.isalnum()) or c in "/.%-" else f"%{ord(c) % 256:02x}" for c in text)

    for asked in (quoted(path), f"cells/{quoted(path)}.webp", f"api/cells?{quoted(path)}={quoted(text)}"):
        answer = ask(asked)
        assert answer.status in (200, 400, 403, 404)
        if answer.status != 200:
            refusal(answer)
