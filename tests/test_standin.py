import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.errors import UsageError


def feeds() -> dict[str, np.ndarray]:
    return {
        "latents": np.zeros((1, 16, 8), np.float32),
        "phase": np.zeros((1, 1), np.float32),
        "level": np.zeros((1, 1), np.float32),
        "overlap": np.zeros((1, 1, 480), np.float32),
    }


@pytest.mark.parametrize("kind", ["cached", "window"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_graph_gives_what_the_manifest_promises(kind: str, channels: int) -> None:
    bundle = standin.bundle(kind=kind, channels=channels, context_chunks=3)
    backend = standin.StandIn(bundle)
    assert backend.providers() == ["numpy"]
    sizes = {"batch": 2, "samples": 1920, "frames": 4, "chunks": 2, "window_frames": 48}
    for name, graph in bundle.manifest.graphs.items():
        entering = {
            tensor.name: np.ones(tensor.resolve(sizes), tensor.dtype)
            for tensor in (*graph.inputs, *graph.states)
        }
        outputs = backend.session(name).run(entering)
        leaving = (*graph.outputs, *(state.next_spec for state in graph.states))
        assert list(outputs) == [tensor.name for tensor in leaving]
        for tensor in leaving:
            assert outputs[tensor.name].shape == tensor.resolve(sizes), tensor.name
            assert outputs[tensor.name].dtype == tensor.dtype


def test_a_bound_call_reads_and_writes_the_same_arrays(bundle: Bundle) -> None:
    session = standin.StandIn(bundle).session("decoder")
    entering = feeds()
    out = {name: np.zeros_like(array) for name, array in session.run(entering).items()}
    call = session.bind(entering, out)
    for value in (0.0, 0.5):
        entering["latents"][...] = value
        call()
        for name, array in session.run(entering).items():
            np.testing.assert_array_equal(out[name], array)


def test_run_writes_into_what_it_is_given(bundle: Bundle) -> None:
    session = standin.StandIn(bundle).session("decoder")
    out = {"phase_next": np.zeros((1, 1), np.float32)}
    outputs = session.run(feeds(), out)
    assert outputs["phase_next"] is out["phase_next"]
    assert outputs["audio"].shape == (1, 1, 7680)


@pytest.mark.parametrize(
    ("poison", "broken"),
    [
        ("nan", lambda audio: np.isnan(audio).any()),
        ("inf", lambda audio: np.isinf(audio).any()),
        ("dc", lambda audio: audio.mean() > 0.5),
        ("loud", lambda audio: np.abs(audio).max() > 10),
    ],
)
def test_poison_reaches_the_output_of_its_graph_only(bundle: Bundle, poison: str, broken) -> None:
    backend = standin.StandIn(bundle, standin.Faults("decoder", poison=poison))
    assert broken(backend.session("decoder").run(feeds())["audio"])
    backend.faults.graph = "velocity"
    assert not broken(backend.session("decoder").run(feeds())["audio"])


def test_an_error_is_raised_where_it_is_set(bundle: Bundle) -> None:
    backend = standin.StandIn(bundle, standin.Faults("decoder", error=MemoryError("gone")))
    with pytest.raises(MemoryError, match="gone"):
        backend.session("decoder").run(feeds())


def test_it_plays_its_own_bundle_only(dummy_bundle) -> None:
    opened = Bundle.open(dummy_bundle)
    manifest = opened.manifest.to_json() | {"name": "live"}
    other = Bundle(None, type(opened.manifest).from_json(manifest), "")
    with pytest.raises(UsageError, match="cannot play bundle live"):
        standin.StandIn(other)
