"""Captions say only what is true of their window."""

import re

import numpy as np
import pytest
from test_corpus_truth import _rendering

from engine.words import Words
from model.corpus.captions import caption, facts
from model.corpus.composer import compose
from model.corpus.labels import STYLE_NAMES
from model.corpus.phrases import GROUPS, INSTRUMENT_WORDS, PHRASES, STYLE_WORDS, known_words
from model.corpus.styles import STYLES
from model.corpus.truth import INSTRUMENTS, truth_of

WINDOWS = [(0.0, 6.0), (13.0, 21.0), (30.0, 42.0)]
DRUMS = r"(?:drums?|percussion|beats?|drumming|drummer|drum (?:kit|set|beat)|snare|cymbals)"
DENIALS = (
    "no|without|without any|lacking|zero|free of|not any|skip the|remove the|leave out the|"
    "minus the|exclude|avoid"
)
DENIED = re.compile(rf"\b(?:{DENIALS}) {DRUMS}\b|\b(?:drum|beat)less")
NAMED = {
    "drums": r"\b(?:drum kit|percussion|drumming|drummer|drums)\b",
    "piano": r"\b(?:grand piano|acoustic piano)\b",
    "choir": r"\b(?:choir|chorus|vocals|voices|singers)\b",
    "trumpet": r"\btrumpets?\b",
    "flute": r"\bflutes?\b",
    "violin": r"\bfiddle\b",
}


def _truth(style, seed, index=0):
    song = compose(style, seed, index)
    return truth_of(song, _rendering(song))


def _sounds_at_all(truth, instrument, start_s, end_s):
    spans = [span for stem in truth["stems"].values() if stem["instrument"] == instrument
             for span in stem["active_s"]]  # fmt: skip
    return any(min(b, end_s) > max(a, start_s) for a, b in spans)


@pytest.fixture(scope="module")
def written():
    """(truth, window, captions) for songs of every style."""
    rng = np.random.default_rng(0)
    found = []
    for style in STYLES:
        truth = _truth(style, 1)
        for window in WINDOWS:
            known = facts(truth, *window)
            found.append((truth, window, [caption(known, rng).lower() for _ in range(240)]))
    return found


def test_denied_drums_do_not_sound(written):
    seen = 0
    for truth, window, texts in written:
        denied = [text for text in texts if DENIED.search(text)]
        seen += len(denied)
        assert not denied or not _sounds_at_all(truth, "drums", *window), denied[0]
    assert seen > 20


def test_named_instruments_sound(written):
    """A name that stands outside of any denial belongs to something that is heard."""
    denial = re.compile(
        r"\b(?:no|not|without|neither|nor|or|lacking|free|leave|remove|skip|avoid|zero|minus|"
        r"exclude|except|absent|does)\b|less\b|n't"
    )
    near = {"flute": ("pan flute",), "drums": (), "piano": (), "choir": (), "trumpet": (),
            "violin": ()}  # fmt: skip
    seen = 0
    for truth, window, texts in written:
        for text in (text for text in texts if not denial.search(text)):
            for name, pattern in NAMED.items():
                if re.search(pattern, text):
                    seen += 1
                    heard = [_sounds_at_all(truth, n, *window) for n in (name, *near[name])]
                    assert any(heard), (text, name, truth["style"])
    assert seen > 100


def test_tempi_and_keys_are_those_of_the_window(written):
    key = re.compile(r"\b([a-g][#b]?) (major|minor|dorian|mixolydian)\b(?! key)")
    same = {"c#": "db", "d#": "eb", "gb": "f#", "g#": "ab", "a#": "bb"}
    seen = 0
    for truth, _, texts in written:
        for text in texts:
            for bpm in re.findall(r"(\d{2,3}) ?(?:bpm|beats per)", text):
                assert abs(int(bpm) - truth["bpm"]) <= 0.04 * truth["bpm"]
            for tonic, mode in key.findall(text):
                if not re.search(r"in a (minor|major)", text):
                    keys = {(k["tonic"].lower(), k["mode"]) for k in truth["keys"]}
                    assert (same.get(tonic, tonic), mode) in keys, text
                    seen += 1
    assert seen > 50


def test_other_styles_are_only_denied(written):
    for truth, _, texts in written:
        for text in texts:
            for style in ("jazz", "ambient", "chiptune", "chorale"):
                if style != truth["style"] and f" {style}" in f" {text}" and style != "jazz":
                    assert re.search(rf"(not|not too|nothing|never|isn't) {style}", text), text


def test_only_is_said_where_nothing_else_sounds():
    truth = _truth("jazz", 3)
    whole = facts(truth, 0.0, truth["duration_s"])
    assert set(whole.sounding) <= {stem["instrument"] for stem in truth["stems"].values()}
    first = next(iter(truth["stems"]))
    truth["stems"] = {first: truth["stems"][first] | {"active_s": [(0.0, 60.0)]}}
    one = facts(truth, 10.0, 20.0)
    assert one.alone and len(one.sounding) == 1
    truth["stems"]["more"] = {"instrument": "flute", "active_s": [(19.5, 30.0)]}
    two = facts(truth, 10.0, 20.0)
    assert not two.alone and two.sounding == one.sounding
    assert not any("flute" in group.of for group in two.absent)


def test_a_change_of_key_leaves_the_key_unsaid():
    truth = _truth("folk", 5)
    truth["keys"] = [{"start_s": 0.0, "tonic": "C", "mode": "major"},
                     {"start_s": 20.0, "tonic": "D", "mode": "major"}]  # fmt: skip
    assert facts(truth, 0.0, 15.0).key == ("C", "major")
    assert facts(truth, 15.0, 25.0).key is None
    assert facts(truth, 25.0, 35.0).key == ("D", "major")


def test_captions_vary_and_follow_the_seed():
    known = facts(_truth("house", 1), 4.0, 12.0)
    texts = [caption(known, np.random.default_rng(i)) for i in range(100)]
    assert len(set(texts)) > 90
    assert texts[7] == caption(known, np.random.default_rng(7))


def test_the_tables_cover_the_corpus():
    assert set(STYLE_WORDS) == set(STYLE_NAMES)
    assert set(INSTRUMENT_WORDS) == {"drums", *INSTRUMENTS.values()}
    assert {name for group in GROUPS for name in (*group.of, *group.near)} <= set(INSTRUMENT_WORDS)


def test_every_name_is_read_by_its_words(written):
    known = known_words()
    words = Words(known)
    assert len(set(known)) == len(known) and known == known_words()
    assert set(PHRASES) <= set(known) and {"no", "without", "not"} <= set(known)
    for style in STYLE_WORDS.values():
        for name in (*style.nouns, *style.adjectives):
            assert len(words.ids(name)), name
    for names in INSTRUMENT_WORDS.values():
        assert all(len(words.ids(name)) for name in names)
    assert all(len(words.ids(text)) for *_, texts in written for text in texts)
