"""Free text to the ids of known words; what is not known is dropped. Pure.

A known word is lower case and may hold spaces ("drum and bass"), which then win over their parts
and are also found run together ("hiphop"). Endings do not count: "drummers" is found as "drum".
Tempi and keys are words in angle brackets: "<bpm:120>", "<tonic:F#>".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

MAX_WORDS = 64
"""More words than this are cut off."""
BPM_WORDS = tuple(f"<bpm:{bpm}>" for bpm in range(60, 185, 5))
TONIC_WORDS = tuple(
    f"<tonic:{name}>"
    for name in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
)  # fmt: skip

FUNCTION_WORDS = (
    "and", "except", "free", "just", "minus", "neither", "no", "nor", "not", "only", "or", "out",
    "solo", "with", "without", "zero",
)  # fmt: skip
"""What says how the others hang together: found in exactly this form only ("note" is not "not")."""

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "": 0}
_MODES = {"maj": "major", "min": "minor", "m": "minor"}

_NOTE = r"(?P<note>[A-G])\s*-?(?P<sign>#|♯|b|♭|\bsharp\b|\bflat\b|)"
_KEY_OF = re.compile(rf"(?i:\bkey\s+of\s+{_NOTE})(?![\w#])(?:\s+(?P<mode>(?i:maj|min)\b))?")
_KEY = re.compile(
    rf"(?i:(?<![\w#'’]){_NOTE}\s*-?(?P<mode>major|minor|dorian|mixolydian|maj|min)\b)"
    r"(?!\s+(?i:key|scale|mode|mood|feel|chord|third))"
)
_SHORT_KEY = re.compile(
    r"(?<![\w#:])(?P<note>[A-G])(?:(?P<sign>#|♯|b|♭)(?P<mode>m|)|(?P<alone>m))(?![\w#'’]|\s+I\b)"
)
_NUMBER = r"(?<![\d.])(?P<bpm>\d+(?:\.\d+)?)"
_BPM = re.compile(rf"{_NUMBER}\s*-?\s*(?:bpm|beats?\s+(?:per|a)\s+minute)(?![^\W\d_])", re.I)
_TEMPO = re.compile(rf"(?:\bbpm|\btempo)(?:\s+of|\s*[:=])?\s*{_NUMBER}", re.I)
_AND_B = re.compile(r"\b([rd])\s*(?:&|\band\b|\bn\b)\s*b\b", re.I)
"""R&B and d&b, whose b is no key."""
_TOKEN = re.compile(r"[^\W_]+")
_NOT = re.compile(r"\b(\w+?)n['’]?t\b")
_AUXILIARIES = {"do", "does", "did", "is", "are", "was", "should", "would", "could", "has",
                "have", "ca", "wo", "must", "need"}  # fmt: skip


class Words:
    """A closed list of known words."""

    def __init__(self, known: Sequence[str]) -> None:
        """`known` without repeats; the id of a word is its place + 1, 0 is none."""
        self.known = tuple(known)
        self._exact: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        for number, word in enumerate(self.known, 1):
            self._exact[word] = number
            self._exact.setdefault(word.replace(" ", ""), number)
            if " " not in word and word not in FUNCTION_WORDS:
                self._stems.setdefault(stem(word), number)
        self._longest = max((word.count(" ") + 1 for word in self.known), default=1)

    def ids(self, text: str) -> npt.NDArray[np.int64]:
        """int64[n], n ≤ MAX_WORDS: the known words of a text in its order; empty if there is none.

        Takes any text whatever and never fails.
        """
        tokens, place = _tokens(text), 0
        found: list[int] = []
        while place < len(tokens) and len(found) < MAX_WORDS:
            taken, numbers = self._match(tokens, place)
            found += numbers
            place += taken
        return np.array(found[:MAX_WORDS], np.int64)

    def _match(self, tokens: list[str], place: int) -> tuple[int, list[int]]:
        """Tokens used from `place` on, and the ids that they stand for."""
        for count in range(min(self._longest, len(tokens) - place), 1, -1):
            phrase = " ".join(tokens[place : place + count])
            if phrase in self._exact:
                return count, [self._exact[phrase]]
        return 1, self._single(tokens[place])

    def _single(self, token: str) -> list[int]:
        number = self._exact.get(token) or self._stems.get(stem(token))
        if number is not None:
            return [number]
        if token.endswith("less") and len(token) > 6:  # drumless
            rest = self._single(token.removesuffix("less"))
            none = self._exact.get("without")
            return [none, *rest] if rest and none is not None else []
        return []


def stem(word: str) -> str:
    """A word without its English endings, at least three letters; the same for all its forms."""
    if not word.isalpha():
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = _without(word, "es" if word.endswith(("shes", "ches", "xes", "sses")) else "s")
    for ending in ("ing", "ed", "er", "est", "ist", "ly"):
        shorter = _without(word, ending)
        if shorter != word:
            doubled = len(shorter) > 3 and shorter[-1] == shorter[-2] and shorter[-1] in "bdgmnprt"
            word = shorter[:-1] if doubled else shorter
            break
    for ending in ("y", "e", "i"):
        word = _without(word, ending)
    return word


def bpm_word(bpm: float) -> str:
    """The word for a tempo: the nearest multiple of 5 in 60…180."""
    return f"<bpm:{5 * round(min(max(bpm, 60.0), 180.0) / 5)}>"


def tonic_word(tonic: int) -> str:
    """The word for a tonic, C = 0."""
    return TONIC_WORDS[tonic % 12]


def _without(word: str, ending: str) -> str:
    long = len(word) > len(ending) + 2
    return word.removesuffix(ending) if long else word


def _tokens(text: str) -> list[str]:
    """Lower case words, tempi and keys of a text, in its order."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    text = _AND_B.sub(r"\1nb", text)
    for pattern in (_KEY_OF, _KEY, _SHORT_KEY):
        text = pattern.sub(_key, text)
    for pattern in (_BPM, _TEMPO):
        text = pattern.sub(lambda m: f" {bpm_word(float(m['bpm']))} ", text)
    return list(_lowered(text))


def _lowered(text: str) -> Iterator[str]:
    """Tokens in lower case and without accents; those in angle brackets as they are."""
    kept = (c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    plain = re.sub(r"&", " and ", "".join(kept)).replace("’", "'")
    for piece in re.split(r"(<bpm:\d+>|<tonic:[A-G][b#]?>)", plain):
        if piece.startswith(("<bpm:", "<tonic:")) and piece.endswith(">"):
            yield piece
        else:
            yield from _TOKEN.findall(_NOT.sub(_negation, piece.casefold()))


def _negation(match: re.Match[str]) -> str:
    """Turn "don't" into do not; "sent" stays."""
    return f"{match[1]} not" if match[1] in _AUXILIARIES else match[0]


def _key(match: re.Match[str]) -> str:
    """A key as two words, its tonic and its mode."""
    fields = match.groupdict()
    step = _STEPS[fields["note"].upper()] + _SIGNS[(fields["sign"] or "").lower()]
    mode = (fields.get("mode") or fields.get("alone") or "").lower()
    return f" {tonic_word(step)} {_MODES.get(mode, mode)} "


def stems_of(phrases: Iterable[str]) -> dict[str, str]:
    """Stem -> first word with it, of all single words in some phrases."""
    found: dict[str, str] = {}
    for phrase in phrases:
        for token in _lowered(phrase):
            found.setdefault(stem(token), token)
    return found
