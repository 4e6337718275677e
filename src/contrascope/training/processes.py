"""Several processes that share the work on one machine, started from a command, a script or a notebook alike.

Each is a fresh interpreter that is told what to do (``process.py``), with the variables that torchrun would set. The
process that asked waits: it passes on their progress, ends the others where one fails, hands Ctrl-C to the first, and
raises what went wrong there. The processes end with it, even if it is killed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from contrascope import errors, progress
from contrascope.cores import cores
from contrascope.errors import LostError, RunError, SettingsError
from contrascope.store.store import CropStore
from contrascope.training.process import LOST

_PATIENCE = 20.0
"""Seconds that the other processes are given to say what is wrong, once one has failed."""


class Processes:
    """The processes that share a piece of work.

    Args:
        function: What each is to call with the store and the arguments, as "module:name".
        store: A crop store.
        arguments: Its other arguments by name, such as JSON can hold.
        number: How many processes.
    """

    def __init__(self, function: str, store: CropStore, arguments: dict[str, Any], number: int):
        if sys.platform == "win32":
            raise SettingsError(f"{number} devices cannot share the work on Windows itself. Use WSL, or one device.")
        where = str(store.path.absolute() if isinstance(store.path, Path) else store.path)
        task = {"function": function, "store": where, "arguments": arguments}
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._errors = [tempfile.TemporaryFile("w+", errors="replace") for _ in range(number)]  # noqa: SIM115 - closed at the end
        port = _free_port()
        self.processes: list[subprocess.Popen[str]] = []
        try:
            for rank in range(number):
                self.processes.append(self._started(task, rank, number, port))
        except OSError:
            self._end()
            raise

    def wait(self) -> None:
        """Until all are done.

        Raises:
            ContrascopeError: What one of them raised.
            RunError: One was killed.
            KeyboardInterrupt: Ctrl-C, where the work makes no error of it.
            RuntimeError: One failed for a reason that is ours; its own words are quoted.
        """
        try:
            stopping = False
            while any(p.poll() is None for p in self.processes) and not self._failed():
                try:
                    self._listen(0.2)
                except KeyboardInterrupt:
                    if stopping:  # once is asking for good order, twice is in a hurry
                        raise
                    self.processes[0].send_signal(signal.SIGINT)
                    stopping = True
            if self._failed():
                self._await_reason(stopping)
            self._listen(0.0)
        finally:
            self._end()

    def _started(self, task: dict[str, Any], rank: int, number: int, port: int) -> subprocess.Popen[str]:
        variables = {
            "TORCHELASTIC_RUN_ID": "contrascope",
            "TORCHELASTIC_USE_AGENT_STORE": "False",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GROUP_RANK": "0",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(number),
            "LOCAL_WORLD_SIZE": str(number),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        unless_set = {"OMP_NUM_THREADS": str(max(1, cores() // number))}
        if sys.platform == "darwin":
            unless_set["GLOO_SOCKET_IFNAME"] = "lo0"  # what a Mac's own name leads to may not listen
        process = subprocess.Popen(
            [sys.executable, "-m", "contrascope.training.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors[rank],
            text=True,
            env=unless_set | os.environ | variables,
            start_new_session=True,  # Ctrl-C is for us to hand on
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        threading.Thread(target=self._hear, args=(process.stdout,), daemon=True).start()
        return process

    def _hear(self, stream: IO[str]) -> None:
        for line in stream:
            self.messages.put(json.loads(line))

    def _listen(self, seconds: float) -> None:
        """Pass on what is told within so many seconds."""
        until = time.monotonic() + seconds
        while True:
            try:
                message = self.messages.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            if "error" in message:
                raise getattr(errors, message["error"])(message["message"])
            progress.report(*message["progress"])

    def _failed(self) -> bool:
        return any(p.poll() not in (None, 0) for p in self.processes)

    def _await_reason(self, stopping: bool) -> None:
        """Give the others time to say why, then say what is known."""
        until = time.monotonic() + _PATIENCE
        waited_for = self.processes[:1] if stopping else self.processes
        while time.monotonic() < until and any(p.poll() is None for p in waited_for):
            self._listen(0.2)
        self._listen(0.5)
        if stopping:
            raise KeyboardInterrupt
        codes = [process.poll() or 0 for process in self.processes]
        if (lowest := min(codes)) < 0:  # the others fail for that reason only
            raise RunError(
                f"One of {len(codes)} processes was killed ({_name_of(-lowest)}), maybe for want of memory. "
                f"The same command goes on from what was kept; use fewer devices or, to train, a smaller "
                f"training.batch_size if it comes again."
            )
        said = next((said for said, code in zip(self._errors, codes, strict=True) if code not in (0, LOST)), None)
        if said is None:
            raise LostError("The processes lost one another. The same command goes on from what was kept.")
        said.seek(0)
        raise RuntimeError(f"One of {len(codes)} processes failed:\n{said.read()[-5000:]}")

    def _end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        for said in self._errors:
            said.close()


def _name_of(number: int) -> str:
    """Of a signal; those for real time have none."""
    return signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
