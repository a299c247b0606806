import numpy as np
import pytest

from engine.backends import standin
from engine.backends.resident import DeviceBackend, ResidentContext, ResidentDecoder
from engine.bundle import Bundle
from engine.context import open_context
from engine.controls import Controls
from engine.decoder import StreamDecoder, open_decoder
from engine.generator import Generator
from engine.memory import recall, remember
from engine.spec import LadderSpec
from tests.devices import QueuedDevice


class Queued(DeviceBackend):
    """The stand-in behind a queue."""

    name = "queued"

    def __init__(self, bundle: Bundle) -> None:
        standing = standin.StandIn(bundle)
        self.machine = QueuedDevice(standing.session)
        super().__init__(bundle, self.machine, {})

    def providers(self) -> list[str]:
        return ["numpy, queued"]


def played(generator: Generator, ticks: int, **ideas: float) -> np.ndarray:
    controls = Controls(generator.bundle.manifest.controls)
    controls.update(ideas)
    return np.concatenate([generator.tick(controls.snapshot()).audio for _ in range(ticks)])


@pytest.mark.parametrize("prompting", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_music_is_the_same_wherever_its_states_lie(prompting: bool, depth: int, take) -> None:
    bundle = standin.bundle(prompting=prompting)
    ladder = LadderSpec(4, depth)
    ideas = {"guidance": 2.0} if prompting else {}
    streams = []
    for backend in (standin.StandIn(bundle), Queued(bundle)):
        generator = Generator(bundle, backend, ladder=ladder, seed=5)
        generator.prime(take)
        streams.append(played(generator, 9, **ideas))  # more chunks than the ring has slots
    np.testing.assert_allclose(streams[0], streams[1], atol=2e-6)
    assert streams[0].std() > 0.01


def test_a_device_brings_its_own_context_and_decoder(bundle: Bundle) -> None:
    backend = Queued(bundle)
    assert isinstance(open_context(bundle, backend, 16, 1), ResidentContext)
    assert isinstance(open_decoder(bundle, backend, 16), ResidentDecoder)
    assert isinstance(open_decoder(bundle, standin.StandIn(bundle), 16), StreamDecoder)


def test_a_window_stays_the_engines_own() -> None:
    bundle = standin.bundle(kind="window")
    assert open_context(bundle, Queued(bundle), 16, 1).fills


def test_rings_do_not_cross_over_in_a_tick(bundle: Bundle) -> None:
    backend = Queued(bundle)
    generator = Generator(bundle, backend)
    played(generator, 2)
    crossed: list[int] = []
    buffers = generator._context.rings.buffers.values()  # type: ignore[attr-defined]
    for buffer in buffers:
        buffer.write = lambda array: crossed.append(array.size)
        buffer.fetch = lambda: crossed.append(0)
    played(generator, 3)
    assert crossed == []


def test_pieces_of_any_length_make_the_whole(bundle: Bundle) -> None:
    z = np.random.default_rng(2).standard_normal((48, 8)).astype(np.float32)
    whole = StreamDecoder(bundle, standin.StandIn(bundle), 48).decode(z)
    decoder = Queued(bundle).decoder(16)
    ends = np.cumsum([16, 3, 16, 1, 12])
    pieces = [decoder.decode(z[b - n : b]) for b, n in zip(ends, (16, 3, 16, 1, 12), strict=True)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    decoder.reset()
    np.testing.assert_allclose(decoder.decode(z[:16]), whole[: 16 * 480], atol=1e-6)


def test_a_state_is_remembered_and_recalled(bundle: Bundle) -> None:
    generator = Generator(bundle, Queued(bundle), seed=3)
    played(generator, 7)
    controls = Controls(bundle.manifest.controls)
    memory = remember(generator, controls.snapshot())
    assert memory.arrays["context.keys"].any()
    wanted = played(generator, 3)
    other = Generator(bundle, Queued(bundle), seed=3)
    played(other, 2)
    recall(memory, other, controls)
    np.testing.assert_array_equal(played(other, 3), wanted)
