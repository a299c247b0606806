"""The weights of a bundle in one file, each stored once, and what names them.

What `export.rounding` rounded is stored as float16, or as int8 and scales, with the nodes in
front that make float32 of it again. ONNX Runtime folds Cast, Mul and MatMul away at load, so that
computing stays float32; DequantizeLinear it does not fold, but quantises the other factor too.

Exporting folds the transpositions of weights, stores equal ones once and so loses torch's names;
`note_names` keeps them in the graph's metadata, and `named_weights` reads everything back.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from torch import nn

from engine.errors import BundleError
from export.rounding import SMALLEST_BYTES, Floats, as_half, as_int8
from export.waves import as_waves

ALIGNMENT_BYTES = 64
HALF, INT8, SCALE, LEFT, RIGHT = ".half", ".int8", ".scale", ".left", ".right"
"""What the pool appends to the name of an initializer that it stores smaller."""
NAMES = "torch_names"
"""Key of a graph's metadata: where each weight of torch lies."""


class Pool:
    """The weights of all graphs of a bundle in one file, each once however many graphs use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = bytearray()
        self.places: dict[bytes, int] = {}

    def take(self, model: ir.Model) -> None:
        """Move the model's weights into the pool, in place, each as small as it fits."""
        for value in list(model.graph.initializers.values()):
            assert value.const_value is not None and value.name is not None
            array = value.const_value.numpy()
            if (small := as_int8(array)) is not None:
                self._replace(model, value, self._scaled(model, value.name, *small))
            elif (half := as_half(array)) is not None:
                self._replace(model, value, self._cast(model, value.name, HALF, half))
            elif (waves := as_waves(array)) is not None:
                self._replace(model, value, self._multiplied(model, value, *waves))
            elif array.nbytes >= SMALLEST_BYTES:
                value.const_value = self._external(value.name, array)

    def write(self) -> None:
        """Write the file; the models that refer to it may be saved before or after."""
        self.path.write_bytes(self.content)

    def _replace(self, model: ir.Model, value: ir.Value, nodes: list[ir.Node]) -> None:
        """Nodes that make it out of what is stored take the place of an initializer."""
        wide = nodes[-1].outputs[0]
        wide.name, wide.shape, wide.type = f"{value.name}.wide", value.shape, value.type
        ir.convenience.replace_all_uses_with(value, wide)
        del model.graph.initializers[str(value.name)]
        model.graph.insert_before(model.graph[0], nodes)

    def _cast(
        self, model: ir.Model, name: str, suffix: str, small: npt.NDArray[np.generic]
    ) -> list[ir.Node]:
        stored = self._stored(model, name + suffix, small)
        return [ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, name=name + ".cast")]

    def _scaled(
        self, model: ir.Model, name: str, whole: npt.NDArray[np.int8], scale: Floats
    ) -> list[ir.Node]:
        nodes = self._cast(model, name, INT8, whole)
        factors = [nodes[0].outputs[0], self._stored(model, name + SCALE, scale)]
        factors[0].name = name + ".whole"
        return [*nodes, ir.node("Mul", factors, name=name + ".scaled")]

    def _multiplied(
        self, model: ir.Model, value: ir.Value, left: Floats, right: Floats
    ) -> list[ir.Node]:
        name = str(value.name)
        factors = [self._stored(model, name + LEFT, left), self._stored(model, name + RIGHT, right)]
        product = ir.node("MatMul", factors, name=name + ".product")
        product.outputs[0].name = name + ".pieces"
        shape = ir.tensor(np.array([len(left), -1]), name=name + ".shape")
        joined = [product.outputs[0], _registered(model, shape)]
        return [product, ir.node("Reshape", joined, name=name + ".joined")]

    def _stored(self, model: ir.Model, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
        """A new initializer whose content lies in the pool."""
        return _registered(model, self._external(name, array))

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


def _registered(model: ir.Model, tensor: ir.TensorProtocol) -> ir.Value:
    assert isinstance(tensor.shape, ir.Shape)
    value = ir.Value(
        name=tensor.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    model.graph.register_initializer(value)
    return value


def note_names(model: ir.Model, module: nn.Module) -> None:
    """Note where each weight of the module lies, in the model's metadata; before the pool.

    Weights are found by their content, as they are or transposed. One that the graph does not
    read is in no initializer, and is noted as None.
    """
    places = {
        _content(value.const_value.numpy()): name
        for name, value in model.graph.initializers.items() if value.const_value is not None
    }  # fmt: skip
    names: dict[str, dict[str, object] | None] = {}
    for name, weight in module.state_dict().items():
        array, names[name] = weight.numpy(), None
        for transposed in (False, True):
            place = places.get(_content(array.T if transposed else array))
            if place is not None:
                names[name] = {"at": place, "transposed": transposed, "shape": array.shape}
                break
    model.metadata_props[NAMES] = json.dumps(names)


def named_weights(model: ir.Model) -> dict[str, Floats]:
    """Every weight that the graph reads by torch's name, in torch's layout.

    BundleError if none is noted.
    """
    try:
        names = _names(model).items()
        return {name: _weight(model, **place) for name, place in names if place is not None}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"graph {model.graph.name}: its weights are not where it says ({error!r:.80})"
        ) from None


def unread_weights(model: ir.Model) -> set[str]:
    """Torch's names of the weights that its module has, but the graph does not read."""
    return {name for name, place in _names(model).items() if place is None}


def _names(model: ir.Model) -> dict[str, Any]:
    if NAMES not in model.metadata_props:
        raise BundleError(
            f"graph {model.graph.name} does not say where its weights lie: it was exported by "
            "another version; export its training runs again"
        )
    names: dict[str, Any] = json.loads(model.metadata_props[NAMES])
    return names


def _weight(model: ir.Model, at: str, transposed: bool, shape: list[int]) -> Floats:
    stored = {
        name: value.const_value.numpy().astype(np.float32)
        for name in (at, at + HALF, at + INT8, at + SCALE)
        if (value := model.graph.initializers.get(name)) is not None
        and value.const_value is not None
    }
    scale = stored.pop(at + SCALE, np.float32(1.0))
    (found,) = stored.values()
    array = found * scale
    return array.reshape(shape[::-1]).T if transposed else array.reshape(shape)


def _content(array: npt.NDArray[np.generic]) -> tuple[str, bytes]:
    """The same for arrays of the same type and content, whatever their shape."""
    return str(array.dtype), hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
