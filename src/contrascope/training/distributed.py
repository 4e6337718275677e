"""The processes that share a training or an embedding: who they are, and what they tell each other besides.

Processes come from torchrun, from SLURM (srun, one task a device), or from ``processes.py``, which starts them as
torchrun would. All of them do the same; of a training the first alone writes files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, NamedTuple, TypeVar

import torch
from lightning.pytorch.plugins.environments import ClusterEnvironment, SLURMEnvironment
from torch import distributed

from contrascope.errors import LostError, RunError, SettingsError
from contrascope.vocabulary import Share

T = TypeVar("T")
Devices = int | Literal["auto"]
PATIENCE = timedelta(hours=2)
"""How long processes wait for one another: the first may have work of its own. One that is gone is noticed at once."""
_GONE = re.compile(r"connection (closed|reset) by peer|broken pipe|connect(ion)? refused|timed out", re.IGNORECASE)
"""What torch's backend for CPUs says then, in a RuntimeError; that for GPUs has an error of its own."""
_TAKEN = re.compile(r"EADDRINUSE|address already in use|failed to listen", re.IGNORECASE)
"""What torch says where the port is another program's."""


class World(NamedTuple):
    """A process among those that share the work.

    Attributes:
        rank: Which of all processes this is.
        size: How many there are.
        local_rank: Which of those on this machine.
        nodes: How many machines there are.
        address, port: Where the first of them listens.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    nodes: int = 1
    address: str = "127.0.0.1"
    port: int = 0

    @property
    def devices(self) -> int:
        """Processes, and devices, on each machine."""
        return self.size // self.nodes

    @property
    def share(self) -> Share:
        """What this process holds of every batch."""
        return Share(self.rank, self.size)


ALONE = World()


def launched() -> World | None:
    """The world that torchrun or srun has made around this process; None where there is nobody else."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        size, here = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
        _refuse_uneven(size, here, f"{here} on this machine")
        rank, local = int(env["RANK"]), int(env["LOCAL_RANK"])
        world = World(rank, size, local, size // here, env["MASTER_ADDR"], int(env["MASTER_PORT"]))
    elif "SLURM_STEP_NUM_TASKS" in env:  # srun sets it; within sbatch alone it is not there
        size, nodes = int(env["SLURM_STEP_NUM_TASKS"]), int(env.get("SLURM_STEP_NUM_NODES", "1"))
        _refuse_uneven(size, nodes, f"on {nodes} nodes")
        address = SLURMEnvironment.resolve_root_node_address(env.get("SLURM_STEP_NODELIST", "127.0.0.1"))
        job, step = int(env.get("SLURM_JOB_ID", "0")), int(env.get("SLURM_STEP_ID", "0"))
        port = 15_000 + (job + 997 * step) % 10_000  # the same for all tasks of a step
        rank, local = int(env["SLURM_PROCID"]), int(env["SLURM_LOCALID"])
        address, port = env.get("MASTER_ADDR", address), int(env.get("MASTER_PORT", port))
        world = World(rank, size, local, nodes, address, port)
    else:
        return None
    return world if world.size > 1 else None


def _refuse_uneven(size: int, parts: int, what: str) -> None:
    if size % parts:
        raise RunError(
            f"{size} processes, {what}, were found: each node must have as many as any other. Start as many tasks on "
            f"each, one for each device."
        )


def devices_per_node(devices: Devices, nodes: int, world: World | None) -> int:
    """How many processes a training or an embedding is to have on each machine.

    Args:
        devices: As ``fit`` has it.
        nodes: As ``fit`` has it.
        world: What ``launched`` says.

    Raises:
        SettingsError: The numbers are none, or not those that the processes were started with; or several nodes are
            asked for, and nobody has started the processes.
        RunError: There are fewer GPUs.
    """
    known = devices == "auto" or (isinstance(devices, int) and devices >= 1)
    if not known or nodes < 1:
        raise SettingsError(f"devices is {devices!r} and nodes {nodes!r}; numbers from 1 were needed, or devices auto.")
    gpus = torch.cuda.device_count()
    if world is None:
        if nodes > 1:
            raise SettingsError(
                f"A training on {nodes} nodes was asked for, but nothing has started a process on each. Start the same "
                f"command with torchrun --nnodes {nodes} --nproc-per-node DEVICES, or with srun, one task a device."
            )
        number = max(1, gpus) if devices == "auto" else devices
    else:
        number = world.devices
        if (devices not in ("auto", 1, number)) or nodes not in (1, world.nodes):
            raise SettingsError(
                f"{devices} devices on {nodes} nodes were asked for, but {number} processes on each of {world.nodes} "
                f"nodes were started. Leave out devices and nodes, or start as many as are asked for."
            )
    if 0 < gpus < number:
        raise RunError(
            f"{number} processes are to share this machine, and it shows {gpus} GPUs. Ask for at most {gpus} "
            f"devices; under SLURM give each task all GPUs of its node (--gpus-per-node, not --gpus-per-task)."
        )
    return number


@contextmanager
def process_group(world: World, patience: timedelta = PATIENCE) -> Iterator[None]:
    """Inside, the processes of a world can talk to each other.

    Args:
        world: This process among them.
        patience: How long one waits for another.

    Raises:
        LostError: One of the others is gone, seen as soon as this one waits for it.
        RunError: Another program listens where this one should.
    """
    if world.size == 1:
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(world.local_rank)
    os.environ |= {"MASTER_ADDR": world.address, "MASTER_PORT": str(world.port)}
    with _losses_told():
        distributed.init_process_group(
            "nccl" if gpu else "gloo", rank=world.rank, world_size=world.size, timeout=patience
        )
        try:
            yield
        except BaseException:
            _leave(gpu)
            raise
        distributed.destroy_process_group()


def _leave(gpu: bool) -> None:
    """Leave the others in the middle of something; on GPUs the orderly end would wait for them, and they for us."""
    if gpu and hasattr(distributed.distributed_c10d, "_abort_process_group"):
        distributed.distributed_c10d._abort_process_group()
    else:
        distributed.destroy_process_group()


@contextmanager
def _losses_told() -> Iterator[None]:
    """Inside, that another process is gone is said in a sentence, where torch has a page about its sockets."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if _TAKEN.search(said):  # with torch 2.6 an error of no kind of its own
            raise RunError(
                f"The processes cannot meet at {os.environ['MASTER_ADDR']}, port {os.environ['MASTER_PORT']}: another "
                f"program listens there. Set MASTER_PORT to a free one, the same for all of them."
            ) from None
        if not isinstance(error, distributed.DistError) and not ("gloo" in said and _GONE.search(said)):
            raise
        raise LostError(
            f"Another process of those that share this work was killed or cannot be reached any more: its own machine "
            f"says why, want of memory maybe. What was kept until now is sound; the same command goes on from there. "
            f"What torch says: {' '.join(said.split())[:300]}"
        ) from error


@contextmanager
def errors_once(world: World | None) -> Iterator[None]:
    """Inside, errors that all processes come to are raised in the first of them alone; the others end quietly.

    What a single process finds wrong, damage to a store for instance, is raised there.
    """
    try:
        yield
    except LostError:  # it may be the first that is gone
        raise
    except (RunError, SettingsError):
        if world is None or world.rank == 0:
            raise
        raise SystemExit(1) from None


def on_first_rank(world: World, action: Callable[[], object]) -> None:
    """Let the first process do something while the others wait; what it cannot do ends all of them.

    Raises:
        Exception: In the first process, the action's own.
        SystemExit: In the others, where the first has one.
    """
    failed: list[object] = [True]
    if world.rank == 0:
        try:
            action()
            failed = [False]
        finally:
            if world.size > 1:
                distributed.broadcast_object_list(failed, src=0)
    else:
        distributed.broadcast_object_list(failed, src=0)
        if failed[0]:
            raise SystemExit(1)


def gathered(world: World, value: T) -> list[T]:
    """What each process has, in the order of their ranks; the same list in each."""
    if world.size == 1:
        return [value]
    values: list[T] = [value] * world.size
    distributed.all_gather_object(values, value)
    return values


class Environment(ClusterEnvironment):
    """A world, as Lightning asks about it. Of itself, Lightning would have SLURM requeue jobs in a way of its own.

    Args:
        world: The world.
    """

    def __init__(self, world: World):
        super().__init__()
        self.world = world

    @property
    def creates_processes_externally(self) -> bool:
        """The launcher has started them."""
        return True

    @property
    def main_address(self) -> str:
        """Of the first process."""
        return self.world.address

    @property
    def main_port(self) -> int:
        """Of the first process."""
        return self.world.port

    @staticmethod
    def detect() -> bool:
        """False: Lightning is given this environment and need not look for one."""
        return False

    def world_size(self) -> int:
        """Number of processes on all machines."""
        return self.world.size

    def set_world_size(self, size: int) -> None:
        """Nothing: the launcher has set it."""

    def global_rank(self) -> int:
        """This process among all."""
        return self.world.rank

    def set_global_rank(self, rank: int) -> None:
        """Nothing: the launcher has set it."""

    def local_rank(self) -> int:
        """This process among those of its machine."""
        return self.world.local_rank

    def node_rank(self) -> int:
        """Which machine this is."""
        return self.world.rank // self.world.devices
