"""The device of ONNX Runtime's GPU providers, with OrtValues in the processor's memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from engine.backends import ort_device  # noqa: E402
from engine.backends.ort import CPU, OrtBackend, session_options  # noqa: E402
from engine.backends.resident import DeviceBackend  # noqa: E402
from engine.bundle import Bundle  # noqa: E402
from engine.errors import BundleError, UsageError  # noqa: E402
from engine.generator import Generator  # noqa: E402
from tests.test_backends_resident import played  # noqa: E402
from tests.tiny_graphs import tiny_bundle  # noqa: E402


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


def session(bundle: Bundle, graph: str) -> Any:
    path = str(bundle.file(f"{graph}.onnx"))
    return onnxruntime.InferenceSession(path, session_options(onnxruntime, 1), [CPU])


class OnCpu(DeviceBackend):
    """What `OrtDeviceBackend` is, without a GPU."""

    name = "ort-device"

    def __init__(self, bundle: Bundle) -> None:
        device = ort_device.OrtDevice(onnxruntime, "cpu", "processor", [CPU])
        for graph in ort_device.HOT:
            device.add(graph, session(bundle, graph))
        host = OrtBackend(bundle)
        super().__init__(bundle, device, {"encoder": host.session("encoder")})

    def providers(self) -> list[str]:
        return [CPU]


def test_it_plays_what_the_processor_plays(bundle: Bundle, take: np.ndarray) -> None:
    streams = []
    for backend in (OrtBackend(bundle), OnCpu(bundle)):
        generator = Generator(bundle, backend, seed=3)
        generator.prime(take[:8000])  # one chunk; devices take several one by one
        streams.append(played(generator, 8))
    np.testing.assert_allclose(streams[0], streams[1], atol=1e-6)
    assert streams[0].std() > 0.01


def test_a_copy_goes_to_the_place_it_is_told() -> None:
    device = ort_device.OrtDevice(onnxruntime, "cpu", "processor", [CPU])
    source, target = device.buffer((2, 3, 2), "float32"), device.buffer((2, 5, 2), "float32")
    array = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    source.write(array)
    found, wanted = np.zeros((2, 5, 2), np.float32), np.zeros((2, 5, 2), np.float32)
    for at, to in ((1, 4), (0, 2), (1, 4)):
        device.put(source, at, target, to, 1)
        wanted[:, to] = array[:, at]
    target.land(found)
    np.testing.assert_array_equal(found, wanted)


class Refusing:
    """A session that cannot capture its run."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.io_binding = session.io_binding
        self.runs = 0

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.runs += 1
        raise RuntimeError("CUDA graph capture failed: node on the CPU")


def test_what_cannot_be_captured_is_loaded_without(bundle: Bundle) -> None:
    device = ort_device.OrtDevice(onnxruntime, "cpu", "processor", [CPU])
    refusing = Refusing(session(bundle, "decoder"))
    device.add("decoder", refusing, lambda: session(bundle, "decoder"))
    shapes = {"latents": (1, 16, 8), "carry": (1, 1, 480)}
    feeds = {name: device.buffer(shape, "float32") for name, shape in shapes.items()}
    out = {"audio": device.buffer((1, 1, 7680), "float32"),
           "carry_next": device.buffer((1, 1, 480), "float32")}  # fmt: skip
    device.bind("decoder", feeds, out)()
    assert refusing.runs == 1
    device.add("decoder", refusing)
    with pytest.raises(UsageError, match="decoder does not run on processor: CUDA graph capture"):
        device.bind("decoder", feeds, out)


def test_every_bound_call_has_a_graph_of_its_own_and_plain_runs_none(bundle: Bundle) -> None:
    asked: list[str] = []

    class Runtime:
        OrtValue = onnxruntime.OrtValue

        class RunOptions:
            def add_run_config_entry(self, key: str, value: str) -> None:
                assert key == "gpu_graph_id"
                asked.append(value)

    class Session:
        get_outputs = staticmethod(session(bundle, "decoder").get_outputs)
        io_binding = staticmethod(session(bundle, "decoder").io_binding)

        def run_with_iobinding(self, binding: Any, options: Any) -> None: ...

        def run(self, names: Any, feeds: Any, options: Any) -> list[Any]:
            return [None] * len(names)

    device = ort_device.OrtDevice(Runtime, "cpu", "processor", [CPU])
    device.add("decoder", Session())
    for _ in range(2):
        device.bind("decoder", {"latents": device.buffer((1, 16, 8), "float32")}, {})
    device.run("decoder", {})
    assert asked == ["1", "2", "-1"]


@pytest.mark.parametrize(
    ("provider", "extra"), [("CUDA", "gpu"), ("Tensorrt", "gpu,tensorrt")], ids=str
)
def test_a_wheel_without_the_provider_is_named_with_the_cure(provider: str, extra: str) -> None:
    with pytest.raises(UsageError, match=rf"no {provider}Exec.* install perpetuo\[{extra}\]"):
        ort_device.require(onnxruntime, f"{provider}ExecutionProvider", "x")


class Loader:
    """A runtime whose sessions land on the provider that was given, or fail."""

    def __init__(self, bundle: Bundle, lands: str, fails: tuple[bool, ...] = ()) -> None:
        self._bundle, self._lands, self._fails = bundle, lands, fails
        self.SessionOptions = onnxruntime.SessionOptions
        self.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
        self.given: list[bool] = []

    def InferenceSession(self, path: str, options: Any, providers: list[Any]) -> Any:  # noqa: N802
        graphs = providers[0][1]["enable_cuda_graph"] == "1"
        self.given.append(graphs)
        if graphs in self._fails:
            raise RuntimeError("this session cannot use the graph capture feature")
        real = onnxruntime.InferenceSession(path, options, [CPU])

        class Loaded:
            get_inputs, get_outputs = real.get_inputs, real.get_outputs

            @staticmethod
            def get_providers() -> list[str]:
                return [lands, CPU]

        lands = self._lands
        return Loaded()


def options(graph: str, graphs: bool) -> list[Any]:
    return [(ort_device.CUDA, ort_device.cuda_options(graphs)), CPU]


def test_cuda_graphs_where_they_can_be_had(bundle: Bundle) -> None:
    for fails, given in (((), [True]), ((True,), [True, False])):
        loader = Loader(bundle, ort_device.CUDA, fails)
        ort_device.load_hot(loader, bundle, "velocity", 1, ort_device.CUDA, options)
        assert loader.given == given


def test_a_provider_that_is_listed_but_does_not_load_is_named(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"CUDAExecutionProvider does not load .*cuDNN 9"):
        ort_device.load_hot(Loader(bundle, CPU), bundle, "decoder", 1, ort_device.CUDA, options)
    with pytest.raises(BundleError, match=r"decoder.onnx does not load with CUDA.*graph capture"):
        loader = Loader(bundle, ort_device.CUDA, (True, False))
        ort_device.load_hot(loader, bundle, "decoder", 1, ort_device.CUDA, options)
