"""Several devices do together what one does alone; processes of the CPU stand for them here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from contrascope import progress
from contrascope.errors import LostError, RunError, SettingsError, StoreError
from contrascope.sampling.samplers import BalancedBatches
from contrascope.sampling.split import TRAIN, split_cells
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training import distributed
from contrascope.training import fit as fits
from contrascope.training.distributed import ALONE, World, devices_per_node, errors_once, launched, process_group
from contrascope.training.processes import Processes
from contrascope.training.processes import _free_port as free_port
from contrascope.training.run import Run, open_run
from contrascope.vocabulary import Share

Train = Callable[..., Run]
TEN_STEPS: dict[str, Any] = {
    "independence_weight": 100.0,
    "beta_warmup_steps": 2,
    "validations_per_epoch": 2,
    "epochs": 4,
}
LAUNCHER = ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS")
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "WORLD_SIZE": "6",
    "LOCAL_WORLD_SIZE": "3",
    "RANK": "4",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "1234",
}
SRUN = {
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "first,second",
    "SLURM_JOB_ID": "51234",
}


@pytest.fixture(autouse=True)
def _nobody_launched_us(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def alone(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "alone", **TEN_STEPS)


@pytest.fixture(scope="module")
def together(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "together", devices=2, **TEN_STEPS)


def way(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return float(torch.stack([(one[name] - other[name]).float().norm() for name in one]).norm())


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / "weights.safetensors")


def test_two_processes_come_to_the_weights_of_one(alone: Run, together: Run) -> None:
    start = alone.untrained(seed=alone.settings.seed).state_dict()
    assert way(weights(alone), weights(together)) < 1e-3 * way(weights(alone), start)
    one, two = (torch.cat([x.flatten().double() for x in weights(run).values()]) for run in (alone, together))
    # Adam moves a weight whose gradient is rounding alone as far as any other, and which way depends on the processor.
    assert ((one - two).abs() > 1e-4 + 1e-3 * one.abs()).double().mean() < 1e-5
    assert (one - two).abs().max() < alone.settings.learning_rate


def test_what_they_log_is_of_all_cells_and_stands_there_once(alone: Run, together: Run) -> None:
    one, two = alone.metrics(), together.metrics()
    assert two.select("step", "name").equals(one.select("step", "name"))
    np.testing.assert_allclose(two["value"], one["value"], rtol=1e-3, atol=1e-3)


def test_a_run_does_not_tell_how_many_devices_made_it(alone: Run, together: Run) -> None:
    assert together.fingerprint == alone.fingerprint
    assert together.facts["outcome"]["best_step"] == alone.facts["outcome"]["best_step"]
    assert sorted(p.name for p in together.path.iterdir()) == sorted(p.name for p in alone.path.iterdir())


def test_a_finished_run_is_opened_without_starting_anybody(
    together: Run, store: CropStore, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits, "Processes", None)
    assert train(store, together.path, devices=2, **TEN_STEPS).facts == together.facts


@pytest.mark.slow
def test_what_is_taken_over_a_batch_is_taken_over_that_of_all(store: CropStore, train: Train, tmp_path: Path) -> None:
    """HSIC with labels, total correlation with its critic, and noise of every kind."""
    settings = TEN_STEPS | {
        "model": "three-space",
        "technical_size": 2,
        "decoder_knows": "technical",
        "technical": ["area"],
        "gain_spread": 0.2,
        "independence": "total-correlation",
        "independence_weight": 10.0,
        "salient_technical_weight": 100.0,
    }
    area = np.random.default_rng(0).random(len(store))
    imaged = store_from_arrays(
        store.read(np.arange(len(store))),
        store.cells.with_columns(area=area),
        tmp_path / "imaged.zarr",
        channels=store.channels,
    )
    one, two = (train(imaged, tmp_path / str(n), devices=n, **settings) for n in (1, 2))
    start = one.untrained(seed=one.settings.seed).state_dict()
    assert way(weights(one), weights(two)) < 1e-3 * way(weights(one), start)
    dependences = [name for name in one.metrics()["name"].unique() if "dependence" in name]
    assert len(dependences) == 6  # three, in training and in validation


@pytest.mark.slow
def test_killed_and_stopped_on_two_devices_it_goes_on_to_the_same_weights(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough not to be over before it hears of what happens at its fiftieth step.
    settings = TEN_STEPS | {"epochs": 120, "patience": 1000}
    started: list[Processes] = []

    def watched(*arguments: Any) -> Processes:
        started.append(Processes(*arguments))
        return started[-1]

    def kill(_: str, done: int, __: int) -> None:
        if done == 4:
            started[-1].processes[1].kill()

    def stop(_: str, done: int, __: int) -> None:
        if done == 50:
            raise KeyboardInterrupt

    monkeypatch.setattr(fits, "Processes", watched)
    for listener, words in ((kill, r"was killed \(SIGKILL\).*goes on"), (stop, r"stopped at step.*goes on")):
        with progress.listening(listener), pytest.raises(RunError, match=words):
            train(store, tmp_path / "run", devices=2, **settings)
        assert all(process.poll() is not None for process in started[-1].processes)
    assert 50 <= open_run(tmp_path / "run").facts["outcome"]["steps"] < 360
    again = train(store, tmp_path / "run", devices=2, **settings)
    whole = train(store, tmp_path / "whole", devices=2, **settings)
    assert again.facts["outcome"]["steps"] == 360
    assert way(weights(again), weights(whole)) == 0
    assert again.metrics().equals(whole.metrics())


def test_what_one_process_finds_wrong_is_raised_as_it_is(store: CropStore, train: Train, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"3 devices cannot share batches evenly.*16 perturbed.*30"):
        train(store, tmp_path, devices=3)


@pytest.mark.parametrize("rank", [0, 1])
def test_cells_whose_pixels_are_no_numbers_are_named_whichever_process_holds_them(
    make_store: Callable[..., CropStore], store: CropStore, train: Train, tmp_path: Path, rank: int
) -> None:
    training = np.flatnonzero(split_cells(store.labels, shares=(0.7, 0.2, 0.1), seed=0) == TRAIN)
    batch = next(iter(BalancedBatches(store.labels, training, batch_size=32, seed=0).epoch(0)))
    held = batch[Share(rank, 2).places(len(batch))]
    row = held[store.labels[held] > 0][0]
    images = np.random.default_rng(0).uniform(100, 1000, (120, 2, 16, 16)).astype(np.float32)
    images[row, 1, 2, 3] = np.nan
    with pytest.raises(RunError, match=f"NaN or infinite pixels: cells of the store, by row: {row};"):
        train(make_store(tmp_path, images=images), tmp_path / "run", devices=2)


def nodes(number: int, words: list[str]) -> list[subprocess.Popen[str]]:
    """A command of ours on so many nodes, which share this machine, two processes in all; torchrun on each."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={number}", f"--nproc-per-node={2 // number}"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    return [
        subprocess.Popen(
            [*torchrun, f"--node-rank={node}", "-m", "contrascope.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for node in range(number)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_torchrun_starts_the_same_on_any_number_of_nodes_and_one_process_speaks(
    together: Run, store: CropStore, tmp_path: Path, number: int
) -> None:
    settings = [f"--set={k}={json.dumps(x)}" for k, x in together.facts["settings"].items() if k != "preset"]
    started = nodes(number, ["train", str(store.path), "--out", str(tmp_path / "run"), "--quiet", *settings])
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * number, said
    assert "".join(out for out, _ in said).count("Run of mcvae") == 1
    assert not any("Warning" in error or "contrascope" in error for _, error in said), said
    assert way(weights(open_run(tmp_path / "run")), weights(together)) == 0


@pytest.mark.slow
def test_a_node_that_is_gone_is_told_of_in_a_sentence_and_the_same_command_goes_on(
    together: Run, store: CropStore, tmp_path: Path
) -> None:
    facts = together.facts["settings"] | {"epochs": 400, "patience": 10_000, "validations_per_epoch": 1}
    settings = [f"--set={k}={json.dumps(x)}" for k, x in facts.items() if k != "preset"]
    words = ["train", str(store.path), "--out", str(tmp_path / "run"), "--quiet", *settings]
    here, gone = nodes(2, words)
    while not (tmp_path / "run" / "resume.safetensors").is_file():
        assert here.poll() is None, here.communicate()
        time.sleep(0.2)
    for process in psutil.Process(gone.pid).children(recursive=True):
        process.kill()  # torchrun would first ask it to end
    (_, said), _ = here.communicate(timeout=300), gone.communicate(timeout=300)
    assert here.returncode
    assert "LostError: Another process of those that share this work was killed or cannot be reached" in said
    assert "contrascope/training" not in said, "no traceback of ours"
    assert (tmp_path / "run" / "unfinished.json").is_file()


@pytest.mark.parametrize(
    "words",
    [
        "[/gloo/transport/tcp/pair.cc:537] Read error [10.0.0.2]:6382: Connection reset by peer.",
        "[/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:31414.",
        "[/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv.",
    ],
)
def test_what_torch_says_of_sockets_is_told_as_the_loss_of_a_process(words: str) -> None:
    with pytest.raises(LostError, match="the same command goes on"), distributed._losses_told():
        raise RuntimeError(words)
    with pytest.raises(LostError), distributed._losses_told():
        raise torch.distributed.DistBackendError("NCCL communicator was aborted")
    with pytest.raises(RuntimeError, match="mat1 and mat2"), distributed._losses_told():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_whoever_is_left_says_so_where_the_first_is_gone() -> None:
    with pytest.raises(LostError), errors_once(World(rank=1, size=2)):
        raise LostError("gone")
    with pytest.raises(SystemExit), errors_once(World(rank=1, size=2)):
        raise RunError("what all find")


def test_a_port_that_is_taken_is_no_lost_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_ADDR", "")  # what joining sets is taken away again
        monkeypatch.setenv("MASTER_PORT", "")
        said = pytest.raises(RunError, match=rf"port {port}: another program listens.*MASTER_PORT")
        with said, process_group(World(rank=0, size=2, port=port), timedelta(seconds=20)):
            pass


def test_steps_of_one_job_meet_at_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = set()
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    for step in range(20):
        monkeypatch.setenv("SLURM_STEP_ID", str(step))
        world = launched()
        assert world is not None
        ports.add(world.port)
    assert len(ports) == 20


@pytest.mark.parametrize(
    ("variables", "changes"),
    [(TORCHRUN, {"WORLD_SIZE": "5", "LOCAL_WORLD_SIZE": "3"}), (SRUN, {"SLURM_STEP_NUM_TASKS": "5"})],
    ids=["torchrun", "srun"],
)
def test_nodes_with_more_processes_than_others_are_refused(
    variables: dict[str, str], changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (variables | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=r"5 processes, .*each node must have as many"):
        launched()


@pytest.mark.parametrize("variables", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_a_process_finds_its_place_among_those_of_a_launcher(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    world = launched()
    assert world is not None
    assert (world.rank, world.size, world.local_rank, world.nodes, world.devices) == (4, 6, 1, 2, 3)
    assert world.address == "first"
    assert devices_per_node(1, 1, world) == devices_per_node("auto", 1, world) == devices_per_node(3, 2, world) == 3
    with pytest.raises(SettingsError, match="2 devices on 1 nodes were asked for, but 3 processes"):
        devices_per_node(2, 1, world)


def test_a_process_by_itself_is_in_no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched() is None
    for name, value in (SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}).items():
        monkeypatch.setenv(name, value)
    assert launched() is None


@pytest.mark.parametrize(
    ("devices", "nodes", "words"), [(0, 1, "numbers from 1"), ("all", 1, "'all'"), (2, 2, "torchrun")]
)
def test_devices_that_cannot_be_had_are_refused(devices: Any, nodes: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        devices_per_node(devices, nodes, None)


def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices_per_node("auto", 1, None) == 2
    with pytest.raises(RunError, match=r"3 processes.*it shows 2 GPUs"):
        devices_per_node(3, 1, None)


@pytest.mark.parametrize("error", [RunError("x"), SettingsError("x")])
def test_an_error_of_all_is_said_by_the_first_alone(error: Exception) -> None:
    for world in (None, ALONE, World(rank=0, size=2)):
        with pytest.raises(type(error)), errors_once(world):
            raise error
    with pytest.raises(SystemExit), errors_once(World(rank=1, size=2)):
        raise error


@pytest.mark.parametrize("error", [RunError("x"), ValueError("x"), KeyboardInterrupt()])
def test_whatever_ends_the_first_process_ends_those_that_wait_for_it(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []

    def fail() -> None:
        raise error

    monkeypatch.setattr(torch.distributed, "broadcast_object_list", lambda values, src: said.extend(values))
    with pytest.raises(type(error)):
        distributed.on_first_rank(World(rank=0, size=2), fail)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", lambda values, src: values.__setitem__(0, said[0]))
    with pytest.raises(SystemExit):
        distributed.on_first_rank(World(rank=1, size=2), fail)


def test_damage_that_one_process_finds_is_said_there() -> None:
    with pytest.raises(StoreError), errors_once(World(rank=1, size=2)):
        raise StoreError("x")
