import numpy as np
import pytest

from engine.backends import standin
from engine.backends.parrot import CONTEXT, LAYERS, VOCABULARY, WIDTH, Parrot
from engine.brief import brief_size
from engine.clock import CLOCK_SIZE

BRIEF = brief_size(16)


@pytest.fixture
def parrot() -> Parrot:
    return Parrot(standin.bundle(prompting=True).manifest)


def language_feeds(tokens: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "tokens": rng.integers(0, VOCABULARY, (1, tokens)),
        "brief": rng.standard_normal((1, BRIEF)).astype(np.float32) * 0.1,
        "clock": rng.standard_normal((1, tokens, CLOCK_SIZE)).astype(np.float32),
        "position": np.array([5], np.int64),
        "filled": (np.arange(CONTEXT) % 3 > 0).astype(np.float32)[None],
        "prefix": rng.standard_normal((1, LAYERS, 12, WIDTH)).astype(np.float32),
        **{
            f"past_{layer}": rng.standard_normal((1, CONTEXT, WIDTH)).astype(np.float32)
            for layer in range(LAYERS)
        },
    }


def test_every_graph_gives_what_the_manifest_promises() -> None:
    bundle = standin.bundle(prompting=True, channels=2)
    backend = standin.StandIn(bundle)
    sizes = {
        "samples": 7680, "frames": 16, "chunks": 2, "batch": 2, "tokens": 8, "words": 3, "n": 5,
    }  # fmt: skip
    for name, graph in bundle.manifest.graphs.items():
        entering = {
            tensor.name: np.ones(tensor.resolve(sizes), tensor.dtype)
            for tensor in (*graph.inputs, *graph.states)
        }
        outputs = backend.session(name).run(entering)
        assert set(outputs) == {t.name for t in graph.outputs} | {s.next_name for s in graph.states}
        for tensor in graph.outputs:
            assert outputs[tensor.name].shape == tensor.resolve(sizes), (name, tensor.name)
            assert outputs[tensor.name].dtype == tensor.dtype, (name, tensor.name)
        for state in graph.states:
            after = outputs[state.next_name]
            runs = 5 if name in ("language", "write") else 2
            expected = list(state.shape)
            if state.ring_axis is not None:
                expected[state.ring_axis] = runs
            if name == "velocity":
                expected[0] = 2
            assert list(after.shape) == expected and after.dtype == state.dtype


@pytest.mark.parametrize(
    "name", ["tokens", "brief", "clock", "position", "filled", "prefix", "past_0", "past_1"]
)
def test_the_language_model_depends_on_everything(parrot: Parrot, name: str) -> None:
    feeds = language_feeds()
    before = parrot.language(feeds)["logits"]
    changes = {"tokens": (feeds["tokens"] + 1) % VOCABULARY, "filled": 1 - feeds["filled"]}
    changed = {**feeds, name: changes.get(name, feeds[name] + 1)}
    assert np.abs(parrot.language(changed)["logits"] - before).max() > 1e-3


def test_slots_that_are_not_filled_are_not_seen(parrot: Parrot) -> None:
    feeds = language_feeds()
    before = parrot.language(feeds)["logits"]
    for layer in range(LAYERS):
        feeds[f"past_{layer}"][0, feeds["filled"][0] < 0.5] = np.nan
    np.testing.assert_array_equal(parrot.language(feeds)["logits"], before)


def test_a_token_is_the_pitch_that_was_heard(parrot: Parrot) -> None:
    time_s = np.arange(9600) / 24000
    tokens = []
    for hz in (150, 250, 400):
        audio = (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[None, None]
        tokens.append(np.median(parrot.semantic({"audio": audio})["tokens"]))
    assert tokens == sorted(tokens) and tokens[0] < tokens[2]


def test_places_have_length_one(parrot: Parrot) -> None:
    text = parrot.text({"words": np.array([[3, 5]])})["embedding"]
    made = parrot.quantise({"embedding": text})
    for place in (
        text,
        made["quantised"],
        parrot.music({"features": np.ones((1, 4, 8))})["embedding"],
    ):
        assert np.linalg.norm(place) == pytest.approx(1.0, abs=1e-5)
    assert 0 <= made["codes"].min() <= made["codes"].max() < 256
    assert made["quantised"][0] @ text[0] > 0.99
