"""The contract between the engine and whatever runs the graphs.

A *session* runs one graph of the bundle. `run` is for shapes that come and go; `bind` is for the
tick: it takes the arrays once, and every call of what it returns reads and writes those arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Session(Protocol):
    """One graph, ready to run."""

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """All outputs by name; those named in `out` are written there and returned."""
        ...

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        """A call that runs the graph from `feeds` into `out`; every output must be in `out`.

        The arrays are contiguous and stay where they are for as long as the call is used.
        """
        ...


class Backend(Protocol):
    """A way to run the graphs of one bundle."""

    name: str

    def providers(self) -> list[str]:
        """What really runs the graphs, in order of preference."""
        ...

    def session(self, graph: str) -> Session:
        """The session of one graph of the manifest."""
        ...
