"""Ingests on demand, each in a process of its own that is killed at a given moment; ``test_crash.py`` runs it.

    python mortal_ingest.py SCREEN SHARD_BYTES

For each line ``MOMENT OUT`` that it reads it ingests into OUT, and answers ``SIGNAL SECONDS``: what killed the
ingest (0: nothing, it ended well) and how long it lived. MOMENT is ``never``; or ``0.25``, seconds after the
begin; or ``#7``, in the place of its 7th change to a file or folder. Processes are forked from one that has
imported everything and done nothing, so that a life is spent on ingest.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path

from contrascope.screen.readers import tiff  # noqa: F401 - what a life would begin with importing
from contrascope.screen.screen import open_screen
from contrascope.store import shards
from contrascope.store.crops import extract_crops

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def main() -> None:
    """Ingest, line by line."""
    screen, shards.SHARD_BYTES = Path(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    for line in sys.stdin:
        moment, out = line.rstrip("\n").split(" ", 1)
        began = time.monotonic()
        if (child := os.fork()) == 0:
            live(screen, Path(out), int(moment[1:]) if moment.startswith("#") else None)
        if moment[0] in "0123456789":
            time.sleep(float(moment))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        # A negative code is a signal; a positive one, that the ingest failed by itself.
        print(-os.waitstatus_to_exitcode(status), time.monotonic() - began, flush=True)


def live(screen: Path, out: Path, last: int | None) -> None:
    """Ingest and end this process."""
    if last is not None:
        kill_at(last, str(out))
    try:
        extract_crops(open_screen(screen), out)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def kill_at(last: int, folder: str) -> None:
    """End this process in the place of its ``last`` change within a folder."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        writes = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY)
        if writes and str(arguments[0]).startswith(folder):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
