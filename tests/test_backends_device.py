import numpy as np

from engine.backends import standin
from engine.backends.device import DeviceSession
from engine.bundle import Bundle
from tests.devices import QueuedDevice


def feeds_of(bundle: Bundle) -> dict[str, np.ndarray]:
    spec = bundle.manifest.graphs["decoder"]
    rng = np.random.default_rng(0)
    return {tensor.name: rng.standard_normal(tensor.resolve({"frames": 16})).astype(np.float32)
            for tensor in (*spec.inputs, *spec.states)}  # fmt: skip


def test_bound_arrays_go_there_and_come_back_when_it_is_done(
    bundle: Bundle, backend: standin.StandIn
) -> None:
    device = QueuedDevice(backend.session)
    feeds, wanted = feeds_of(bundle), backend.session("decoder")
    out = {name: np.zeros_like(array) for name, array in wanted.run(feeds).items()}
    call = DeviceSession(device, "decoder").bind(feeds, out)
    for _ in range(2):
        feeds["latents"] += 0.1
        call()
        for name, array in wanted.run(feeds).items():
            np.testing.assert_array_equal(out[name], array)


def test_an_unbound_run_writes_where_it_is_told(bundle: Bundle, backend: standin.StandIn) -> None:
    session = DeviceSession(QueuedDevice(backend.session), "decoder")
    feeds = feeds_of(bundle)
    audio = np.zeros((1, 1, 7680), np.float32)
    found = session.run(feeds, {"audio": audio})
    assert found["audio"] is audio and audio.any()
    assert set(found) == set(backend.session("decoder").run(feeds))
