"""What turns words, recordings and a past into tokens, as the engine meets it.

`semantic` listens, `music` and `text` lead to one joint space, `quantise` makes codes of a place
in it, `prefix` is what the language model keeps of the codes, `language` reads tokens and `write`
writes them, `lean` says which of them a brief favours, and `evidence` what they tell of the beat
and the key.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from engine.errors import UsageError
from engine.tensors import StateSpec, TensorSpec
from export.graphs import Feeds, Graph, next_states
from export.streams import take
from model.language import LanguageModel
from model.layers import POSITION_PERIOD
from model.mulan import Mulan
from model.presets import VelocityPreset
from model.semantic import SemanticEncoder

COMPARED_TOKENS = 500


@dataclass(frozen=True, slots=True)
class Prompting:
    """The three networks behind a prompt, trained for each other."""

    semantic: SemanticEncoder
    language: LanguageModel
    mulan: Mulan
    words: tuple[str, ...]  # that the text tower knows; ids count from 1

    @property
    def parts(self) -> dict[str, nn.Module]:
        """They by their names."""
        return {"semantic": self.semantic, "language": self.language, "mulan": self.mulan}

    def graphs(self, channels: int) -> list[Graph]:
        """All that the engine runs of them; `channels` of the audio."""
        return [
            semantic_graph(self.semantic, channels),
            music_graph(self.mulan),
            text_graph(self.mulan),
            quantise_graph(self.mulan),
            prefix_graph(self.language),
            language_graph(self.language),
            write_graph(self.language),
            lean_graph(self.language),
            evidence_graph(self.language),
        ]

    def refuse_strangers(self, velocity: VelocityPreset) -> None:
        """UsageError unless they and the velocity network agree on what they hand on."""
        heard, told = self.semantic.preset, self.mulan.sizes
        brief = brief_size(told.embedding)
        for name, one, other in (
            ("the language model writes tokens", self.language.preset.vocabulary, heard.vocabulary),
            ("the velocity network reads tokens", velocity.vocabulary, heard.vocabulary),
            ("the language model reads a brief", self.language.brief, brief),
            ("the velocity network reads a brief", velocity.brief, brief),
            ("the music tower reads features", told.features, heard.hidden),
            ("the text tower knows words", told.words, len(self.words)),
            ("the language model reads codes", self.language.preset.codes, told.codes),
        ):
            if one != other:
                raise UsageError(
                    f"{name}, {one} of them, the others have {other}: "
                    "these networks were not trained for each other"
                )

    @torch.no_grad()
    def tokens_apart(self, other: Prompting) -> float:
        """Part of the tokens of a fixed take that two listening networks do not agree on."""
        graph = semantic_graph(self.semantic, 1)
        audio = torch.from_numpy(take(COMPARED_TOKENS * graph.unit_samples, 1))
        return float((self.semantic.tokens(audio) != other.semantic.tokens(audio)).float().mean())


class SemanticDoor(nn.Module):
    """Audio to tokens, and to the features that they are the nearest of."""

    def __init__(self, semantic: SemanticEncoder) -> None:
        super().__init__()
        self.semantic = semantic

    def forward(self, feeds: Feeds) -> Feeds:
        """Audio [1, C, samples] -> tokens [1, n], features [1, n, D]."""
        features = self.semantic.hidden(feeds["audio"])
        return {"tokens": self.semantic.nearest(features), "features": features}


class MusicDoor(nn.Module):
    """Features of a recording to its place in the joint space."""

    def __init__(self, mulan: Mulan) -> None:
        super().__init__()
        self.mulan = mulan

    def forward(self, feeds: Feeds) -> Feeds:
        """Features [1, n, D] -> embedding [1, E] of length 1."""
        return {"embedding": self.mulan.audio_embedding(feeds["features"])}


class TextDoor(nn.Module):
    """Known words to their place in the joint space."""

    def __init__(self, mulan: Mulan) -> None:
        super().__init__()
        self.mulan = mulan

    def forward(self, feeds: Feeds) -> Feeds:
        """Word ids [1, n] -> embedding [1, E] of length 1."""
        return {"embedding": self.mulan.text_embedding(feeds["words"])}


class QuantiseDoor(nn.Module):
    """A place in the joint space to codes, and to the place that they stand for."""

    def __init__(self, mulan: Mulan) -> None:
        super().__init__()
        self.mulan = mulan

    def forward(self, feeds: Feeds) -> Feeds:
        """Embedding [1, E] -> codes [1, 12], quantised [1, E] of length 1."""
        codes = self.mulan.codes(feeds["embedding"])
        return {"codes": codes, "quantised": self.mulan.quantised(codes)}


class PrefixDoor(nn.Module):
    """What the language model keeps of a prompt's codes."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def forward(self, feeds: Feeds) -> Feeds:
        """Codes [1, 12] -> prefix [1, N, 12, 2cd]."""
        return {"prefix": self.language.prefix(feeds["codes"])}


class LanguageDoor(nn.Module):
    """Tokens to the logits of the next, looking back on rings."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language
        self.initial = language.initial_states()

    def forward(self, feeds: Feeds) -> Feeds:
        """Tokens [1, n] and the rest -> logits [1, n, V] and the next states."""
        logits, after = self.language.cached_pass(
            feeds["tokens"], feeds["brief"], feeds["clock"], feeds["position"], feeds["filled"],
            feeds["prefix"], {name: feeds[name] for name in self.initial},
        )  # fmt: skip
        return {"logits": logits, **next_states(after, self.initial, logits.dtype)}


class WriteDoor(nn.Module):
    """A run of tokens, each chosen behind the one before it."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language
        self.initial = language.initial_states()

    def forward(self, feeds: Feeds) -> Feeds:
        """The last token [1, 1] and the rest -> logits [1, n, V], tokens [1, n], next states."""
        tokens, logits, after = self.language.written(
            feeds["token"], feeds["favour"], feeds["brief"], feeds["clock"], feeds["position"],
            feeds["filled"], feeds["prefix"], {name: feeds[name] for name in self.initial},
        )  # fmt: skip
        return {
            "logits": logits,
            "tokens": tokens,
            **next_states(after, self.initial, logits.dtype),
        }


class LeanDoor(nn.Module):
    """What is asked to the tokens that it favours."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def forward(self, feeds: Feeds) -> Feeds:
        """Brief [1, Bf] -> lean [1, V]."""
        return {"lean": self.language.leaning(feeds["brief"])}


class EvidenceDoor(nn.Module):
    """Tokens to what each says of the beat and the key."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def forward(self, feeds: Feeds) -> Feeds:
        """Tokens [1, n] -> evidence [1, n, EVIDENCE_SIZE]."""
        return {"evidence": self.language.evidence(feeds["tokens"])}


def semantic_graph(semantic: SemanticEncoder, channels: int) -> Graph:
    """A recording of whole tokens."""
    preset = semantic.preset
    return Graph(
        "semantic",
        SemanticDoor(semantic),
        (TensorSpec("audio", "float32", (1, channels, "samples")),),
        (
            TensorSpec("tokens", "int64", (1, "tokens")),
            TensorSpec("features", "float32", (1, "tokens", preset.hidden)),
        ),
        unit_samples=semantic.front.token_samples,
    )


def music_graph(mulan: Mulan) -> Graph:
    """The features of a recording, four or more."""
    return Graph(
        "music",
        MusicDoor(mulan),
        (TensorSpec("features", "float32", (1, "tokens", mulan.sizes.features)),),
        (TensorSpec("embedding", "float32", (1, mulan.sizes.embedding)),),
    )


def text_graph(mulan: Mulan) -> Graph:
    """One known word or more."""
    return Graph(
        "text",
        TextDoor(mulan),
        (TensorSpec("words", "int64", (1, "words")),),
        (TensorSpec("embedding", "float32", (1, mulan.sizes.embedding)),),
        ids=mulan.sizes.words + 1,
    )


def quantise_graph(mulan: Mulan) -> Graph:
    """One place in the joint space."""
    place = (1, mulan.sizes.embedding)
    return Graph(
        "quantise",
        QuantiseDoor(mulan),
        (TensorSpec("embedding", "float32", place),),
        (
            TensorSpec("codes", "int64", (1, mulan.sizes.codes)),
            TensorSpec("quantised", "float32", place),
        ),
    )


def prefix_graph(language: LanguageModel) -> Graph:
    """One prompt's codes; all of them `code_vocabulary` where there is no prompt."""
    preset = language.preset
    return Graph(
        "prefix",
        PrefixDoor(language),
        (TensorSpec("codes", "int64", (1, preset.codes)),),
        (TensorSpec("prefix", "float32", _prefix(language)),),
        ids=preset.code_vocabulary + 1,
    )


def language_graph(language: LanguageModel) -> Graph:
    """Any number of tokens at a time; `past_*` are rings over the tokens before."""
    preset, door = language.preset, LanguageDoor(language)
    return Graph(
        "language",
        door,
        (
            TensorSpec("tokens", "int64", (1, "n")),
            TensorSpec("brief", "float32", (1, language.brief)),
            TensorSpec("clock", "float32", (1, "n", CLOCK_SIZE)),
            TensorSpec("position", "int64", (1,)),
            TensorSpec("filled", "float32", (1, preset.context)),
            TensorSpec("prefix", "float32", _prefix(language)),
        ),
        (TensorSpec("logits", "float32", (1, "n", preset.vocabulary)),),
        tuple(
            StateSpec(name, "float32", tuple(x.shape), ring_axis=2)
            for name, x in door.initial.items()
        ),
        position_period=POSITION_PERIOD,
        ids=preset.vocabulary + 1,
    )


def write_graph(language: LanguageModel) -> Graph:
    """A run of tokens in one go, behind the rings of `language`."""
    preset, reading = language.preset, language_graph(language)
    return Graph(
        "write",
        WriteDoor(language),
        (
            TensorSpec("token", "int64", (1, 1)),
            TensorSpec("favour", "float32", (1, "n", preset.vocabulary)),
            TensorSpec("brief", "float32", (1, language.brief)),
            TensorSpec("clock", "float32", (1, "n", CLOCK_SIZE)),
            TensorSpec("position", "int64", (1,)),
            TensorSpec("filled", "float32", (1, "n", preset.context)),
            TensorSpec("prefix", "float32", _prefix(language)),
        ),
        (
            TensorSpec("logits", "float32", (1, "n", preset.vocabulary)),
            TensorSpec("tokens", "int64", (1, "n")),
        ),
        reading.states,
        position_period=POSITION_PERIOD,
        ids=preset.vocabulary + 1,
    )


def lean_graph(language: LanguageModel) -> Graph:
    """One brief."""
    return Graph(
        "lean",
        LeanDoor(language),
        (TensorSpec("brief", "float32", (1, language.brief)),),
        (TensorSpec("lean", "float32", (1, language.preset.vocabulary)),),
    )


def evidence_graph(language: LanguageModel) -> Graph:
    """Any number of tokens."""
    return Graph(
        "evidence",
        EvidenceDoor(language),
        (TensorSpec("tokens", "int64", (1, "n")),),
        (TensorSpec("evidence", "float32", (1, "n", EVIDENCE_SIZE)),),
        ids=language.preset.vocabulary + 1,
    )


def _prefix(language: LanguageModel) -> tuple[int, ...]:
    """Shape of what is kept of the codes."""
    preset = language.preset
    kept = 2 * preset.kv_heads * (preset.width // preset.heads)
    return (1, preset.layers, preset.codes, kept)
