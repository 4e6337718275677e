"""One process of several that share the work, as ``processes.py`` starts it: its task is a line of JSON.

The line comes on standard input, which stays open as long as whoever asked is alive; when that ends, so does the
process. It answers with lines of JSON on standard output: how far it is, or the error that ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pkgutil import resolve_name
from typing import IO, Any

from contrascope import progress
from contrascope.errors import ContrascopeError, LostError
from contrascope.store.store import open_store

LOST = 75
"""Exit code of a process that ends because another one is gone."""


def main() -> None:
    """Do the task, then end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_whoever_asked, daemon=True).start()
    try:
        with progress.listening(lambda *far: _answer(answers, {"progress": far}) if _is_first() else None):
            resolve_name(task["function"])(open_store(task["store"]), **task["arguments"])
    except LostError:  # which is no reason: the other one has it
        sys.exit(LOST)
    except ContrascopeError as error:
        _answer(answers, {"error": type(error).__name__, "message": str(error)})
        sys.exit(1)


def _is_first() -> bool:
    return os.environ["RANK"] == "0"


def _answer(stream: IO[str], value: dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def _end_with_whoever_asked() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
