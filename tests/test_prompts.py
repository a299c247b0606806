import math
from collections.abc import Callable

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.errors import ControlError
from engine.prompts import BESIDE, CLIP_S, Prompt, Prompts


@pytest.fixture
def prompts(asked_bundle: Bundle) -> Prompts:
    return Prompts(asked_bundle, standin.StandIn(asked_bundle))


def tone(seconds: float, hz: float = 300.0, level: float = 0.3) -> np.ndarray:
    time_s = np.arange(round(seconds * 24000)) / 24000
    return (level * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[:, None]


def place(prompts: Prompts, *asked: Prompt) -> np.ndarray:
    found = prompts.embed(asked)
    assert found is not None and found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
    return found


def test_no_prompts_are_no_prompt(prompts: Prompts) -> None:
    assert prompts.embed([]) is None


def test_words_and_recordings_have_their_places(prompts: Prompts) -> None:
    jazz, waltz = place(prompts, Prompt("jazz")), place(prompts, Prompt("a waltz, please"))
    low, high = (place(prompts, Prompt(audio=tone(2, hz))) for hz in (150, 420))
    for one, other in ((jazz, waltz), (low, high), (jazz, low)):
        assert np.abs(one - other).max() > 0.05
    np.testing.assert_array_equal(place(prompts, Prompt("JAZZ!", weight=7)), jazz)


def test_prompts_blend_by_weight(prompts: Prompts) -> None:
    jazz, low = place(prompts, Prompt("jazz")), place(prompts, Prompt(audio=tone(2)))
    both = place(prompts, Prompt("jazz", weight=3), Prompt(audio=tone(2), weight=1))
    expected = 3 * jazz + low
    np.testing.assert_allclose(both, expected / np.linalg.norm(expected), atol=1e-5)


def test_instruments_stand_beside_a_place_as_their_words_do(prompts: Prompts) -> None:
    jazz = place(prompts, Prompt("jazz"))
    assert prompts.with_instruments(None, []) is None
    assert prompts.with_instruments(jazz, [], alone=True) is jazz
    for alone, words in ((False, "with drums and bass"), (True, "only drums and bass")):
        said = prompts.with_instruments(None, ["drums", "bass"], alone)
        np.testing.assert_allclose(said, place(prompts, Prompt(words)), atol=1e-6)
        both = prompts.with_instruments(jazz, ["drums", "bass"], alone)
        expected = place(prompts, Prompt("jazz"), Prompt(words, weight=BESIDE))
        np.testing.assert_allclose(both, expected, atol=1e-6)


def test_instruments_that_a_bundle_has_no_word_for_change_nothing(prompts: Prompts) -> None:
    jazz = place(prompts, Prompt("jazz"))
    assert prompts.with_instruments(None, ["qwertz"]) is None
    assert prompts.with_instruments(jazz, ["qwertz"]) is jazz


@pytest.mark.parametrize("text", ["jazz 🎹", "שלום jazz", "jazz " * 199, "qwertz jazz"])
def test_what_is_not_known_is_passed_over(prompts: Prompts, text: str) -> None:
    assert place(prompts, Prompt(text)) @ place(prompts, Prompt("jazz")) > 0.99


def test_a_long_recording_is_heard_in_clips(prompts: Prompts) -> None:
    lengths = []
    run = prompts._semantic.run
    prompts._semantic.run = lambda feeds: lengths.append(feeds["audio"].shape[2]) or run(feeds)
    place(prompts, Prompt(audio=tone(2.5 * CLIP_S)))
    assert len(lengths) == 3 and sum(lengths) == pytest.approx(2.5 * CLIP_S * 24000, abs=3000)
    assert all(length % 960 == 0 for length in lengths)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Prompt(""), "text is empty, it takes 1 … 1000"),
        (lambda: Prompt(" \n"), "text is empty"),
        (lambda: Prompt("a" * 10_000), "text has 10,000 characters"),
        (lambda: Prompt(7), "text is 7"),
        (lambda: Prompt(), "a text or a recording"),
        (lambda: Prompt("jazz", np.zeros((9, 1), "f4")), "one of the two"),
        (lambda: Prompt("jazz", weight=math.nan), r"weight is nan, it takes 0 < weight ≤ 100"),
        (lambda: Prompt("jazz", weight=0), "weight is 0"),
        (lambda: Prompt("jazz", weight=-1), "weight is -1"),
        (lambda: Prompt("jazz", weight=101), "weight is 101"),
        (lambda: Prompt("jazz", weight=True), "weight is True"),
        (lambda: Prompt("jazz", weight="2"), "weight is '2'"),
    ],
)
def test_a_prompt_that_is_none_names_field_and_range(
    make: Callable[[], Prompt], words: str
) -> None:
    with pytest.raises(ControlError, match=words):
        make()


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (tone(0.5), r"0.50 s of audio, it takes 1 s or more"),
        (tone(2, level=0), "silent"),
        (tone(2) * np.float32(np.nan), "not finite"),
        (np.zeros((48000, 2), np.float32), r"it takes \[samples, 1\]"),
    ],
)
def test_a_recording_that_says_nothing_is_refused(
    prompts: Prompts, audio: np.ndarray, words: str
) -> None:
    with pytest.raises(ControlError, match=words):
        prompts.embed([Prompt(audio=audio)])


@pytest.mark.parametrize("text", ["xyzzy", "no", "without and not", "🎹", "שלום"])
def test_a_text_without_a_known_word_is_refused_with_examples(prompts: Prompts, text: str) -> None:
    with pytest.raises(ControlError, match=r"no word of .* is known; known are for example slow"):
        prompts.embed([Prompt(text)])


def test_a_thousand_prompts_are_too_many(prompts: Prompts) -> None:
    with pytest.raises(ControlError, match=r"1000 of them, it takes 0 … 16"):
        prompts.embed([Prompt("jazz")] * 1000)


def test_prompts_that_cancel_each_other_out_are_refused(prompts: Prompts) -> None:
    prompts._place = lambda prompt: (
        np.eye(16, dtype=np.float32)[0] * (1 if prompt.text == "jazz" else -1)
    )
    with pytest.raises(ControlError, match="cancel"):
        prompts.embed([Prompt("jazz"), Prompt("waltz")])
