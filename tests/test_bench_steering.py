"""bench.steering: the change comes where it is asked for, and everything else stays."""

from __future__ import annotations

import numpy as np
import pytest

from bench.asks import Ask, Wish
from bench.steering import Steerer
from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import ControlError, UsageError
from engine.generator import Generator


@pytest.fixture(scope="module")
def asked() -> Bundle:
    return standin.bundle(prompting=True)


@pytest.fixture
def steerer(asked: Bundle) -> Steerer:
    tone = 0.3 * np.sin(2 * np.pi * 330 * np.arange(48_000) / 24_000)
    return Steerer(asked, standin.StandIn(asked), {"jazz": tone})


def ask(before: Wish, after: Wish) -> Ask:
    return Ask("", before, after, {})


def test_before_the_change_nothing_knows_of_it(steerer: Steerer) -> None:
    jazz, waltz = Wish("jazz"), Wish("waltz", controls={"bpm": 90.0})
    changed = steerer.steer(ask(jazz, waltz), 1.0, 1.0, seed=1)
    unchanged = steerer.steer(ask(jazz, jazz), 1.0, 1.0, seed=1)
    assert np.array_equal(changed[0], unchanged[0])
    assert not np.array_equal(changed[1], unchanged[1])
    assert all(len(side) >= 24_000 for side in changed)


def test_what_is_not_wished_any_more_is_free(asked: Bundle, steerer: Steerer) -> None:
    controls = Controls(asked.manifest.controls)
    steerer.ask(controls, Wish("jazz", controls={"bpm": 90.0, "drums": 0.0}))
    first = controls.snapshot()
    assert (first.values["bpm"], first.values["drums"]) == (90.0, 0.0)
    assert first.prompt is not None
    steerer.ask(controls, Wish(controls={"drums": 1.0}))
    second = controls.snapshot()
    assert (second.values["bpm"], second.values["drums"]) == (None, 1.0)
    assert second.prompt is None


def test_a_recording_is_a_prompt(asked: Bundle, steerer: Steerer) -> None:
    heard = ask(Wish(), Wish(recording="jazz"))
    assert steerer.can(heard)
    assert not steerer.can(ask(Wish(recording="house"), Wish()))
    controls = Controls(asked.manifest.controls)
    steerer.ask(controls, heard.after)
    assert controls.snapshot().prompt is not None


def test_a_piece_is_whole_chunks(asked: Bundle, steerer: Steerer) -> None:
    generator = Generator(asked, standin.StandIn(asked))
    audio = steerer.play(generator, Controls(asked.manifest.controls), 0.5)
    assert len(audio) % generator.chunk_samples == 0
    assert 12_000 <= len(audio) < 12_000 + generator.chunk_samples


def test_unknown_words_and_a_bundle_without_prompts_are_refused(
    steerer: Steerer, bundle: Bundle, backend: standin.StandIn
) -> None:
    with pytest.raises(ControlError):
        steerer.steer(ask(Wish("zzz"), Wish()), 0.1, 0.1, seed=0)
    with pytest.raises(UsageError, match="takes no prompts"):
        Steerer(bundle, backend)
