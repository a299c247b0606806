"""From a graph to a TensorRT engine, and new weights into an engine that is there.

The network is strongly typed: what is half precision says so in the graph (`onnx_half`), and no
builder flag changes a type; TensorRT 11 knows no other kind and ignores the request for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.backends.profiles import Shapes
from engine.errors import BundleError, UsageError

Say = Callable[[str], None]
MOST_ERRORS = 3


def load_tensorrt() -> Any:
    """The tensorrt module, version 10 or 11; UsageError that says what to install."""
    try:
        import tensorrt
    except ImportError as error:
        raise UsageError(
            f"TensorRT cannot be loaded ({error}): install perpetuo[tensorrt]"
        ) from None
    major = int(str(tensorrt.__version__).split(".")[0])
    if major not in (10, 11):
        raise UsageError(f"TensorRT is {tensorrt.__version__}, 10 or 11 is needed")
    return tensorrt


def logger_of(trt: Any) -> Any:
    """A logger that keeps the last warnings for an error's one line, and prints none."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = [*self.last, message][-MOST_ERRORS:]

    return Log()


def build_engine(
    trt: Any, model: bytes, shapes: Mapping[str, Shapes], say: Say, *, exact: bool,
    timings: bytes = b"",
) -> tuple[bytes, bytes]:  # fmt: skip
    """An engine for these shapes, and the timings that it was chosen by.

    `exact` keeps float32 products in float32 (no TF32). BundleError for a graph TensorRT does not
    read, UsageError where it builds no engine.
    """
    log = logger_of(trt)
    builder = trt.Builder(log)
    network = builder.create_network(_typed(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        raise BundleError(f"TensorRT does not read the graph: {_errors(parser)}")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.REFIT)
    if exact:
        config.clear_flag(trt.BuilderFlag.TF32)
    config.add_optimization_profile(_profile(builder, network, shapes))
    cache = config.create_timing_cache(timings)
    config.set_timing_cache(cache, ignore_mismatch=False)
    config.progress_monitor = _monitor(trt, say)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UsageError(
            f"TensorRT built no engine: {'; '.join(log.last) or 'it does not say why'}"
        )
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def refit_engine(trt: Any, plan: bytes, model: bytes) -> bytes | None:
    """The engine with the weights of another model of the same structure; None if that fails."""
    log = logger_of(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    if engine is None:
        return None
    refitter = trt.Refitter(engine, log)
    if not trt.OnnxParserRefitter(refitter, log).refit_from_bytes(model):
        return None
    if refitter.get_missing_weights() or not refitter.refit_cuda_engine():
        return None
    renewed = engine.serialize()
    return None if renewed is None else bytes(renewed)


def _typed(trt: Any) -> int:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _errors(parser: Any) -> str:
    count = min(parser.num_errors, MOST_ERRORS)
    return "; ".join(str(parser.get_error(i)) for i in range(count)) or "it does not say why"


def _profile(builder: Any, network: Any, shapes: Mapping[str, Shapes]) -> Any:
    """The three shapes of every input that the network really has."""
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        name = network.get_input(i).name
        if name not in shapes:
            raise BundleError(f"the graph has an input {name}, the manifest does not")
        profile.set_shape(name, *shapes[name])
    return profile


def _monitor(trt: Any, say: Say) -> Any:
    """Tells of the outermost phases of a build, which takes minutes."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases: dict[str, tuple[int, int]] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.phases[phase_name] = (num_steps, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.phases:
                steps, told = self.phases[phase_name]
                tenth = 10 * (step + 1) // max(steps, 1)
                if tenth > told:
                    self.phases[phase_name] = (steps, tenth)
                    say(f"TensorRT: {phase_name}, {10 * min(tenth, 10)} %")
            return True  # False would end the build

        def phase_finish(self, phase_name: str) -> None:
            self.phases.pop(phase_name, None)

    return Monitor()
