"""What a GPU would be asked for, seen on a CPU: tensors that have a shape and a device alone, and operations noted.

Nothing is computed on a described GPU, so none is needed. A tensor that was left on the CPU is found, as is what CUDA
cannot do with 16-bit pixels, a layer in the wrong precision, and whatever waits for the GPU. Not found is what CUDA
has no kernel for otherwise: an operation is described alike for all devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from contrascope.embedding.cell_encoder import CellEncoder
from contrascope.models import precision
from contrascope.models.precision import repeatable
from contrascope.store.store import CropStore
from contrascope.training.module import TrainingModule
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

GPU, NOWHERE = torch.device("cuda", 0), torch.device("meta")
CAN = {"select", "slice", "view", "split", "lift_fresh", "detach", "to", "_to_copy"}
"""What CUDA does with 16-bit unsigned integers, as far as we ask: look at a part of them, and make others of them."""
LAYERS = (torch.conv2d, torch.conv_transpose2d, nn.functional.linear)
NUMBER, PLACES = torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default
RUNS = [
    {"model": m, "architecture": a} for m in ("vae", "mcvae", "three-space", "cvae-z") for a in ("conv5", "residual")
]
RUNS += [
    {"model": "mcvae", "preset": "paper"},
    {"model": "mcvae", "gain_spread": 0.2, "decoder_knows": "technical"},
    {"model": "three-space", "encoders": "shared"},
]


class Described(FakeTensorMode):
    """Tensors of a GPU; but of none, if the C++ of autograd asks, which would look for the streams of it.

    What waits for the GPU is counted, and answered: a number is 1, and of a mask half is true.
    """

    waits = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            return NOWHERE
        if (kwargs or {}).get("device") == NOWHERE:  # C++ makes something beside a tensor
            kwargs = kwargs | {"device": GPU}
        if func in (NUMBER, PLACES):
            self.waits += 1
            return 1 if func is NUMBER else self._new((args[0].numel() // 2, args[0].dim()), torch.long)
        return super().__torch_dispatch__(func, types, tree_map(self._beside, args), kwargs)

    def _beside(self, x: Any) -> Any:
        """Of a list of indices C++ makes a tensor beside what is indexed."""
        made = isinstance(x, Tensor) and not isinstance(x, FakeTensor) and x.device == NOWHERE
        return self._new(x.shape, x.dtype) if made else x

    def _new(self, shape: Any, dtype: torch.dtype) -> Tensor:
        with self:
            return torch.empty(shape, dtype=dtype, device=GPU)

    def moved(self, x: Tensor) -> Tensor:
        return self.from_tensor(x).to(GPU)


class Layers(TorchFunctionMode):
    """Notes what they compute in; and rounds like autocast, which asks in C++ whether a tensor is on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: set[torch.dtype] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in LAYERS and torch.is_autocast_enabled("cuda"):
            args = [x.bfloat16() if isinstance(x, Tensor) else x for x in args]
        made = func(*args, **(kwargs or {}))
        if func in LAYERS:
            self.numbers.add(made.dtype)
        return made


class Asked(TorchDispatchMode):
    """Notes the operations on 16-bit unsigned integers, and those of a library for CPUs."""

    def __init__(self) -> None:
        super().__init__()
        self.on_pixels: set[str] = set()
        self.of_cpus: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "mkldnn":
            self.of_cpus.add(func.overloadpacket.__name__)
        elif func.namespace == "aten" and any(isinstance(x, Tensor) and x.dtype == torch.uint16 for x in args):
            self.on_pixels.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def finished(store: CropStore, train: Callable[..., Run], tmp_path_factory: Any, request: Any) -> Run:
    return train(store, tmp_path_factory.mktemp("run") / "run", epochs=1, image_size=20, **request.param)


@pytest.fixture(params=["fp32", "bf16"])
def run(finished: Run, request: Any) -> Run:
    return Run(finished.path, finished.facts | {"settings": finished.facts["settings"] | {"precision": request.param}})


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Described]:
    if torch.version.cuda is not None:
        pytest.skip("this torch has CUDA itself, whose parts in C++ would look for a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    precision._has_bfloat16.cache_clear()
    yield Described()
    precision._has_bfloat16.cache_clear()


@contextmanager
def one_batch(run: Run, store: CropStore, gpu: Described) -> Iterator[Batch]:
    rows = np.arange(48)
    with gpu, Layers() as layers, Asked() as asked:
        yield Batch(*(gpu.moved(torch.from_numpy(x)) for x in (store.read(rows), store.labels[rows], rows)))
    assert layers.numbers == {torch.bfloat16 if run.settings.precision == "bf16" else torch.float32}
    assert "_to_copy" in asked.on_pixels <= CAN
    assert not asked.of_cpus


@pytest.mark.parametrize("finished", RUNS, indirect=True, ids=lambda run: "-".join(map(str, run.values())))
def test_a_step_of_training_stays_on_the_gpu_and_waits_for_it_once(run: Run, store: CropStore, gpu: Described) -> None:
    technical = run.technical.bound(store) if run.technical.columns else None
    model = run.untrained(seed=0).train()
    module = TrainingModule(model, run.transform, run.settings, steps=9, technical=technical, log_every=9)
    with one_batch(run, store, gpu) as batch:
        module._apply(gpu.moved)._training_noise = None  # a generator of a GPU cannot be had without one
        optimizer = module.configure_optimizers()["optimizer"]
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=run.settings.precision == "bf16"):
            loss = module.training_step(batch, 0)
        loss.backward()
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
    moments = [x for x in tree_leaves(dict(optimizer.state)) if isinstance(x, Tensor)]
    gradients = [p.grad for p in module.parameters()]
    assert {(x.device, x.dtype) for x in moments + gradients} == {(GPU, torch.float32)}
    assert gpu.waits == 1 + len(module.independence_weights)  # for the loss, and for which pairs a median is of


@pytest.mark.parametrize("finished", RUNS, indirect=True, ids=lambda run: "-".join(map(str, run.values())))
def test_a_batch_is_embedded_on_the_gpu_and_waits_for_nothing(run: Run, store: CropStore, gpu: Described) -> None:
    spaces = CellEncoder(run, store, baselines=True, uncertainty=True, error=True)
    with one_batch(run, store, gpu) as batch:
        found = spaces._apply(gpu.moved)(batch)
    assert {(x.device, x.dtype) for x in found.values()} == {(GPU, torch.float32)}
    assert gpu.waits == 0


@pytest.mark.parametrize("settings", [{}, {"gain_spread": 0.2}, {"normalization": "paper"}], ids=str)
def test_no_gpu_is_asked_for_what_it_cannot_do_with_16_bits(
    store: CropStore, train: Callable[..., Run], tmp_path: Path, settings: dict[str, Any]
) -> None:
    with Asked() as asked:
        run = train(store, tmp_path / "run", **settings)
        rows = np.arange(40)
        batch = Batch(torch.from_numpy(store.read(rows)), torch.from_numpy(store.labels[rows]), torch.from_numpy(rows))
        CellEncoder(run, store, baselines=True, uncertainty=True, error=True)._of(batch)
        run.reconstruct(store, rows[:4])
    assert "_to_copy" in asked.on_pixels <= CAN


def test_convolutions_of_a_gpu_sum_in_one_order_and_in_all_bits_and_users_have_their_own_back() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), repeatable():
        assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)
        raise ZeroDivisionError
    assert (cudnn.deterministic, cudnn.allow_tf32) == before
