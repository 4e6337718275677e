"""The command says where the view is, serves until Ctrl-C, and refuses in a paragraph."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope.commands import view as command
from contrascope.store.store import CropStore

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Started:
    """Starts the command with these words."""

    def start(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "contrascope.cli", "view", *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("words", [[], ["--json", "--quiet"]])
def test_it_serves_until_ctrl_c_and_ends_well(words: list[str], tiny_store: CropStore, started: Started) -> None:
    with started(tiny_store.path, *words) as process:
        assert process.stdout is not None
        line, second = process.stdout.readline(), "" if words else process.stdout.readline()
        url = json.loads(line)["url"] if words else line.strip()
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
            assert tiny_store.name in answer.read().decode()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert second == ("" if words else f"{len(tiny_store):,} cells are shown there until you press Ctrl-C.\n")


def test_ctrl_c_ends_it_while_somebody_waits(tiny_store: CropStore, started: Started) -> None:
    with started(tiny_store.path, "--json") as process:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["url"].split("/")[2].split(":")[1])
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(b"GET /")
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        _, said = process.communicate()
    assert process.returncode == 0, said


def test_a_port_that_is_given_is_taken_or_refused(tiny_store: CropStore, started: Started, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(tiny_store.path, "--port", port) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"SettingsError: Port {port} cannot be listened on") and len(err.splitlines()) == 1
    made, facts, _ = command.view(str(tiny_store.path), port=port)
    made._socket.close()
    assert facts["url"].startswith(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(("name", "words"), [("nowhere", "does not exist"), (".", "no cells.zarr"), ("f", "is a file")])
def test_what_cannot_be_shown_is_refused(name: str, words: str, started: Started, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with started(tmp_path / name, "--json") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("StoreError: ") and words in err and "contrascope run" in err
    assert len(err.splitlines()) == 1


def test_nothing_is_opened_unless_asked_for(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    for wanted in (False, True):
        made, facts, text = command.view(str(tiny_store.path), open_=wanted)
        made._socket.close()
        assert opened == [facts["url"]] * wanted
        assert text.startswith(made.url)
