"""ONNX Runtime on the processor, with everything bound to our own arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

from engine.bundle import Bundle
from engine.errors import BundleError, UsageError
from engine.onnxfile import external_files
from engine.session import Array, Session
from engine.tensors import GraphSpec, Shape, TensorSpec

WHEELS = ("onnxruntime", "onnxruntime-gpu")
CPU = "CPUExecutionProvider"
_ELEMENTS = {"tensor(float)": "float32", "tensor(int64)": "int64"}


def load_runtime() -> Any:
    """The onnxruntime module; UsageError if there is none, or two that overwrite each other."""
    installed = [wheel for wheel in WHEELS if _installed(wheel)]
    if len(installed) > 1:
        raise UsageError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall both, then install perpetuo[cpu] or perpetuo[gpu], one of the two"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"ONNX Runtime cannot be loaded ({error}): install perpetuo[cpu] or perpetuo[gpu]"
        ) from None
    return onnxruntime


def _installed(wheel: str) -> bool:
    try:
        metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return False
    return True


class OrtBackend:
    """The graphs of a bundle, loaded and compared with its manifest."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, int8: bool = False) -> None:
        """`threads` work inside one operator; `int8` plays graphs in that form where they have it.

        BundleError for graphs that do not fit.
        """
        self.name = "ort-int8" if int8 else "ort"
        if bundle.path is None:
            raise UsageError(f"bundle {bundle.manifest.name} lies in memory: use its own backend")
        runtime = load_runtime()
        self._sessions = {
            name: open_cpu(runtime, bundle, name, threads, int8) for name in bundle.manifest.graphs
        }

    def providers(self) -> list[str]:
        """What really runs the velocity network, in order of preference."""
        return self._sessions["velocity"].providers

    def session(self, graph: str) -> Session:
        """The session of one graph."""
        return self._sessions[graph]


class OrtSession:
    """One graph."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.providers: list[str] = session.get_providers()
        self._outputs = [output.name for output in session.get_outputs()]

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """All outputs by name; those named in `out` are written there and returned."""
        outputs = dict(zip(self._outputs, self._session.run(None, dict(feeds)), strict=True))
        for name, array in (out or {}).items():
            array[...] = outputs[name]
            outputs[name] = array
        return outputs

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        """A call that runs the graph from `feeds` into `out`, without copies on the CPU."""
        binding = self._session.io_binding()
        kept = (dict(feeds), dict(out))  # the binding knows addresses only
        for arrays, bind in zip(kept, (binding.bind_input, binding.bind_output), strict=True):
            for name, array in arrays.items():
                assert array.flags.c_contiguous, name
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        session = self._session

        def bound() -> None:
            assert kept
            session.run_with_iobinding(binding)

        return bound


def file_of(graph: GraphSpec, int8: bool = False) -> str:
    """What the processor plays of a graph, in its int8 form where that is asked for and there."""
    forms = ("int8", "cpu") if int8 else ("cpu",)
    return next((graph.variants[form] for form in forms if form in graph.variants), graph.file)


def open_cpu(
    runtime: Any, bundle: Bundle, name: str, threads: int, int8: bool = False
) -> OrtSession:
    """Load the processor's form of one graph; BundleError where it does not fit the manifest."""
    graph = bundle.manifest.graphs[name]
    file = file_of(graph, int8)
    path = bundle.file(file)
    refuse_outside(bundle, file)
    try:
        session = runtime.InferenceSession(str(path), session_options(runtime, threads), [CPU])
    except Exception as error:  # the runtime's own classes have no common base
        raise BundleError(f"{file} does not load in ONNX Runtime: {error}") from None
    check_graph(file, graph, session)
    return OrtSession(session)


def refuse_outside(bundle: Bundle, file: str) -> None:
    """BundleError if a graph wants data that the manifest does not vouch for."""
    for location in external_files(bundle.file(file)):
        if location not in bundle.manifest.files:
            raise BundleError(f"{file} wants data from {location!r:.60}, which the bundle lacks")


def check_graph(file: str, graph: GraphSpec, session: Any) -> None:
    """BundleError where what enters or leaves is not what the manifest says."""
    _check_inputs(file, graph.inputs + graph.states, session.get_inputs())
    after = tuple(state.next_spec for state in graph.states)
    _check_outputs(file, graph.outputs + after, session.get_outputs())


def session_options(runtime: Any, threads: int) -> Any:
    """One thread after the other, none spinning, denormals as zero."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def _check_inputs(file: str, specs: tuple[TensorSpec, ...], found: list[Any]) -> None:
    """What enters the graph is what the manifest says; axes it calls free must be free."""
    for spec, tensor in _paired(file, "input", specs, found):
        if not _fits(tensor.shape, spec.shape) or any(
            isinstance(have, int) and isinstance(want, str)
            for have, want in zip(tensor.shape, spec.shape, strict=True)
        ):
            raise _mismatch(file, "input", spec, tensor)


def _check_outputs(file: str, specs: tuple[TensorSpec, ...], found: list[Any]) -> None:
    """What leaves the graph is what the manifest says, as far as the graph knows its sizes."""
    for spec, tensor in _paired(file, "output", specs, found):
        if not _fits(tensor.shape, spec.shape):
            raise _mismatch(file, "output", spec, tensor)


def _paired(
    file: str, side: str, specs: tuple[TensorSpec, ...], found: list[Any]
) -> Iterator[tuple[TensorSpec, Any]]:
    tensors = {tensor.name: tensor for tensor in found}
    if set(tensors) != {spec.name for spec in specs}:
        raise BundleError(
            f"{file}: {side}s are {sorted(tensors)}, "
            f"the manifest says {sorted(spec.name for spec in specs)}"
        )
    for spec in specs:
        if _ELEMENTS.get(tensors[spec.name].type) != spec.dtype:
            raise _mismatch(file, side, spec, tensors[spec.name])
        yield spec, tensors[spec.name]


def _mismatch(file: str, side: str, spec: TensorSpec, tensor: Any) -> BundleError:
    dtype = _ELEMENTS.get(tensor.type, tensor.type)
    return BundleError(
        f"{file}: {side} {spec.name} is {dtype}{tensor.shape}, "
        f"the manifest says {spec.dtype}{list(spec.shape)}"
    )


def _fits(found: list[int | str | None], said: Shape) -> bool:
    return len(found) == len(said) and all(
        have == want or not (isinstance(have, int) and isinstance(want, int))
        for have, want in zip(found, said, strict=True)
    )
