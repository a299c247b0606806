"""Weights at half precision, each stored once, and the check that they are fit to ship.

Matrices are rounded to float16 in the network itself, *before* anything is compared, so that the
rounding is part of the model and not of the export. The file then holds them as float16 with a
Cast in front, which ONNX Runtime folds away at load: computing stays float32.

Exporting folds the transpositions of weights, stores equal ones once and so loses torch's names;
`note_names` keeps them in the graph's metadata, and `named_weights` reads everything back.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn

from engine.errors import BundleError

LARGEST_HALF = 65504.0
SMALLEST_POOLED_BYTES = 1024
ALIGNMENT_BYTES = 64
HALF = ".half"
"""What the pool appends to the name of an initializer that it stores at half precision."""
NAMES = "torch_names"
"""Key of a graph's metadata: where each weight of torch lies."""


def refuse_unusable(network: nn.Module, name: str) -> None:
    """BundleError if a weight is not finite, or too large for float16."""
    for key, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise BundleError(
                f"{name}: {key} holds NaN or infinity: its training diverged; "
                "export an earlier checkpoint"
            )
        if value.is_floating_point() and float(value.abs().max()) > LARGEST_HALF:
            raise BundleError(
                f"{name}: {key} reaches {float(value.abs().max()):.3g}, half precision ends at "
                f"{LARGEST_HALF:g}: train with weight decay"
            )


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Round every matrix to what float16 holds, in place; vectors (biases, gains) stay as are."""
    for parameter in network.parameters():
        if parameter.dim() >= 2:
            parameter.copy_(parameter.half().float())


class Pool:
    """The weights of all graphs of a bundle in one file, each once however many graphs use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = bytearray()
        self.places: dict[bytes, int] = {}

    def take(self, model: ir.Model) -> None:
        """Move the model's weights into the pool, in place; halves get a Cast in front."""
        for value in list(model.graph.initializers.values()):
            assert value.const_value is not None and value.name is not None
            array = value.const_value.numpy()
            half = as_half(array)
            if half is not None:
                self._stand_for(model, value, half)
            elif array.nbytes >= SMALLEST_POOLED_BYTES:
                value.const_value = self._external(value.name, array)

    def write(self) -> None:
        """Write the file; the models that refer to it may be saved before or after."""
        self.path.write_bytes(self.content)

    def _stand_for(self, model: ir.Model, value: ir.Value, half: npt.NDArray[np.float16]) -> None:
        """Replace a float32 initializer by a half one and a Cast."""
        name = str(value.name)
        tensor = self._external(name + HALF, half)
        stored = ir.Value(
            name=tensor.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )  # fmt: skip
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, name=name + ".cast")
        wide = cast.outputs[0]
        wide.name, wide.shape, wide.type = name + ".wide", value.shape, value.type
        ir.convenience.replace_all_uses_with(value, wide)
        del model.graph.initializers[name]
        model.graph.register_initializer(stored)
        model.graph.insert_before(model.graph[0], cast)

    def _external(self, name: str, array: npt.NDArray[np.generic]) -> ir.ExternalTensor:
        content = np.ascontiguousarray(array).tobytes()
        digest = hashlib.sha256(content).digest()
        if digest not in self.places:
            self.content += bytes(-len(self.content) % ALIGNMENT_BYTES)
            self.places[digest] = len(self.content)
            self.content += content
        return ir.ExternalTensor(
            self.path.name, self.places[digest], len(content),
            ir.DataType.from_numpy(array.dtype), shape=ir.Shape(array.shape), name=name,
            base_dir=str(self.path.parent),
        )  # fmt: skip


def as_half(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float16] | None:
    """The array in float16 if that is exact and worth a node; None otherwise."""
    if array.dtype != np.float32 or array.ndim < 2 or array.nbytes < SMALLEST_POOLED_BYTES:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else None


def note_names(model: ir.Model, module: nn.Module) -> None:
    """Note where each weight of the module lies, in the model's metadata; before the pool.

    Weights are found by their content, as they are or transposed. One that the graph does not
    read is in no initializer, and is not noted.
    """
    places = {
        _content(value.const_value.numpy()): name
        for name, value in model.graph.initializers.items() if value.const_value is not None
    }  # fmt: skip
    names = {}
    for name, weight in module.state_dict().items():
        array = weight.numpy()
        for transposed in (False, True):
            place = places.get(_content(array.T if transposed else array))
            if place is not None:
                names[name] = {"at": place, "transposed": transposed, "shape": array.shape}
                break
    model.metadata_props[NAMES] = json.dumps(names)


def named_weights(model: ir.Model) -> dict[str, npt.NDArray[np.float32]]:
    """Every noted weight by torch's name, in torch's layout; BundleError if none is noted."""
    if NAMES not in model.metadata_props:
        raise BundleError(
            f"graph {model.graph.name} does not say where its weights lie: it was exported by "
            "another version; export its training runs again"
        )
    try:
        names = json.loads(model.metadata_props[NAMES])
        return {name: _weight(model, **place) for name, place in names.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"graph {model.graph.name}: its weights are not where it says ({error!r:.80})"
        ) from None


def _weight(
    model: ir.Model, at: str, transposed: bool, shape: list[int]
) -> npt.NDArray[np.float32]:
    stored = model.graph.initializers
    value = stored[at if at in stored else at + HALF].const_value
    assert value is not None
    array = value.numpy().astype(np.float32)
    return array.reshape(shape[::-1]).T if transposed else array.reshape(shape)


def _content(array: npt.NDArray[np.generic]) -> tuple[str, bytes]:
    """The same for arrays of the same type and content, whatever their shape."""
    return str(array.dtype), hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
