import numpy as np
import pytest

from engine.backends import standin
from engine.backends.parrot import CONTEXT, VOCABULARY
from engine.bundle import Bundle
from engine.errors import BundleError
from engine.listener import Listener
from engine.window import UNPLANNED


def steps_of(levels: list[float], seconds: float = 0.32) -> np.ndarray:
    """A tone that changes its pitch at every chunk."""
    hz = np.repeat(levels, round(seconds * 24000))
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / 24000)).astype(np.float32)[:, None]


def listener(bundle: Bundle, chunk: int = 16) -> Listener:
    return Listener(bundle, standin.StandIn(bundle), chunk)


def test_tokens_and_latents_of_a_chunk_are_of_the_same_music(asked_bundle: Bundle) -> None:
    heard = listener(asked_bundle).listen(steps_of([150, 420, 200, 400, 180]), 4)
    assert heard.latents.shape == (4, 16, 8) and len(heard.plans) == 4
    for chunk, plan in zip(heard.latents, heard.plans, strict=True):
        pitch = (np.tanh(chunk[:, 0].reshape(8, 2).mean(axis=1)) + 1) / 2 * VOCABULARY
        np.testing.assert_array_equal(plan.tokens, pitch.astype(int).clip(0, VOCABULARY - 1))
        assert plan.guidance == 1.0 and not plan.brief.any()


@pytest.mark.parametrize("seconds", [0.05, 0.32, 0.5, 1.0, 5.0])
def test_the_tokens_are_those_of_the_end(asked_bundle: Bundle, seconds: float) -> None:
    heard = listener(asked_bundle).listen(steps_of([300.0], seconds), 2)
    assert heard.tokens is not None
    assert len(heard.tokens) == min(CONTEXT, max(8 * len(heard.plans), int(25 * seconds)))
    end = np.concatenate([plan.tokens for plan in heard.plans])
    np.testing.assert_array_equal(heard.tokens[-len(end) :], end)


def test_a_bundle_without_prompts_hears_latents_only(bundle: Bundle) -> None:
    heard = listener(bundle).listen(steps_of([300.0, 200.0]), 6)
    assert heard.tokens is None and heard.plans == [UNPLANNED, UNPLANNED]


def test_what_is_not_known_is_no_token(asked_bundle: Bundle) -> None:
    ear = listener(asked_bundle, 8)
    assert (ear.unplanned.tokens == VOCABULARY).all() and ear.chunk_tokens == 4
    heard = ear.listen(steps_of([300.0, 200.0]), 2)
    known = ear.planned([ear.unplanned, *heard.plans])
    np.testing.assert_array_equal(known, np.concatenate([plan.tokens for plan in heard.plans]))


def test_a_graph_that_gives_too_few_tokens_is_told(asked_bundle: Bundle) -> None:
    ear = listener(asked_bundle)
    ear._semantic.run = lambda feeds: {"tokens": np.zeros((1, 3), np.int64)}
    with pytest.raises(BundleError, match="3 tokens where 8 were due"):
        ear.listen(steps_of([300.0]), 4)
