"""What a killed training goes on from: one safetensors file, tensors as they are and all else as JSON in its header.

Lightning would write a pickle here; a run that is shared as a folder must hold none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from contrascope.store.files import appearing

_TREE = "tree"


class SafeCheckpoints(CheckpointIO):
    """Lightning's checkpoints as safetensors files; a file is there whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside, then rename."""
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_taken_apart(checkpoint, tensors))
        with appearing(Path(path)) as beside:
            save_file(tensors, beside, metadata={_TREE: tree})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """What was saved, with its tensors on the CPU."""
        with safe_open(path, framework="pt") as file:
            return _put_together(json.loads(file.metadata()[_TREE]), file)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete it, if it is there."""
        Path(path).unlink(missing_ok=True)


def _taken_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON can hold it; its tensors go into ``tensors``. Dictionaries keep keys that are no text.

    Tensors keep the order of their dimensions in memory: a fused optimizer goes through its state and the weights
    as they lie there, and would mix up entries of a state that came back in another order than its weights.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        order = sorted(range(value.dim()), key=value.stride, reverse=True)
        tensors[name] = value.detach().cpu().permute(order).contiguous().clone()
        return {"tensor": name, "order": order}
    if isinstance(value, dict):
        return {"dict": [[_taken_apart(k, tensors), _taken_apart(item, tensors)] for k, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_taken_apart(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"A checkpoint cannot hold a {type(value).__name__}: {value!r}")


def _put_together(value: Any, file: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        order = value["order"]
        return file.get_tensor(value["tensor"]).permute([order.index(dim) for dim in range(len(order))])
    if "dict" in value:
        return {_put_together(k, file): _put_together(item, file) for k, item in value["dict"]}
    return [_put_together(item, file) for item in value["list"]]
