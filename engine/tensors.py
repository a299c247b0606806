"""The tensors at the doors of a bundle's graphs, and the graphs themselves.

A shape holds whole numbers, or names for the axes that are free: `samples`, `frames`, `chunks`
(in flight), `context_chunks`, `window_frames`, `batch`, `tokens`, `words`, `n` (tokens of a run).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import BundleError
from engine.fields import Fields

DTYPES = ("float32", "int64")
"""Element types of the tensors that enter and leave a graph."""

Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor at the door of a graph."""

    name: str
    dtype: str
    shape: Shape

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers; BundleError if it has a free axis that `sizes` does not name."""
        for axis in self.shape:
            if isinstance(axis, str) and axis not in sizes:
                raise BundleError(
                    f'tensor {self.name} has a free axis "{axis}", known here: '
                    + ", ".join(sorted(sizes))
                )
        return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.shape)

    @classmethod
    def read(cls, fields: Fields) -> TensorSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.text("name"), fields.text("dtype", DTYPES), _shape(fields))


@dataclass(frozen=True, slots=True)
class StateSpec(TensorSpec):
    """A state `x` that leaves the graph as `x_next`.

    A ring state has one slot a finished chunk (or token, in `language`) along `ring_axis`; its
    `x_next` holds there the chunks of the run. A plain state (`ring_axis` None) is replaced whole.
    """

    initial: float = 0.0
    ring_axis: int | None = None

    @property
    def next_name(self) -> str:
        """Name of the output that replaces it."""
        return self.name + "_next"

    @property
    def next_spec(self) -> TensorSpec:
        """The output that replaces it."""
        shape = list(self.shape)
        if self.ring_axis is not None:
            shape[self.ring_axis] = "chunks"
        return TensorSpec(self.next_name, self.dtype, tuple(shape))

    @classmethod
    def read(cls, fields: Fields) -> StateSpec:
        """From the manifest; BundleError names a wrong field."""
        shape = _shape(fields)
        axis = fields.whole("ring_axis", 0) if fields.has("ring_axis") else None
        if axis is not None and axis >= len(shape):
            raise BundleError(f"{fields.place}.ring_axis is {axis}, the shape has {len(shape)}")
        dtype = fields.text("dtype", DTYPES)
        return cls(fields.text("name"), dtype, shape, fields.number("initial"), axis)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph: its file, its tensors, its states, and other files for other machines."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    position_period: int | None = None
    variants: Mapping[str, str] = field(default_factory=dict)

    def input(self, name: str) -> TensorSpec:
        """The input of that name; there must be one."""
        return next(tensor for tensor in self.inputs if tensor.name == name)

    @classmethod
    def read(cls, fields: Fields) -> GraphSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(
            file=fields.text("file"),
            inputs=fields.each("inputs", TensorSpec.read),
            outputs=fields.each("outputs", TensorSpec.read),
            states=fields.each("states", StateSpec.read) if fields.has("states") else (),
            position_period=(
                fields.whole("position_period") if fields.has("position_period") else None
            ),
            variants=_texts(fields.inner("variants")) if fields.has("variants") else {},
        )


def _shape(fields: Fields) -> Shape:
    shape = fields.items("shape")
    if any(not isinstance(axis, str) and (type(axis) is not int or axis < 1) for axis in shape):
        raise BundleError(f"{fields.place}.shape is {shape}, expected sizes from 1 up or names")
    return tuple(shape)


def _texts(fields: Fields) -> dict[str, str]:
    return {key: fields.text(key) for key in fields.values}
