"""The stand-in's networks behind a prompt, in numpy: they repeat what they hear.

A semantic token is the pitch of the sine. Words and recordings each have a fixed place in the
joint space; the language model's answer depends on the tokens before, on the codes of the prompt,
on the brief and on the position, through rings, as the contract has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engine.backends.sine import PLACE_PERIOD, Doubles, Feeds, Outputs, Sine, place_of
from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE, SIXTEENTHS
from engine.manifest import Manifest
from engine.spec import ABSENT_CODE, PromptingSpec
from engine.tensors import GraphSpec, Shape, StateSpec, TensorSpec

WORDS = (
    "no", "not", "without", "only", "and", "with", "slow", "fast", "dark", "bright", "ambient",
    "jazz", "waltz", "drums", "bass", "piano", "strings", "pads", "guitar", "flute",
)  # fmt: skip
EMBEDDING, CODES, VOCABULARY, CONTEXT = 16, 12, 32, 24
TOKEN_FRAMES = 2
LAYERS, WIDTH = 2, 8
"""Layers of the language model, values that a token leaves behind in each."""


def prompting_of() -> PromptingSpec:
    """The sizes of the stand-in."""
    return PromptingSpec(
        EMBEDDING, CODES, VOCABULARY, TOKEN_FRAMES, CONTEXT, "words.json", brief_size(EMBEDDING),
        push=1.0, fade_s=2.0,
    )  # fmt: skip


class Parrot:
    """All graphs behind a prompt, for the shapes of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        rng = np.random.default_rng(7)
        self._sine = Sine(manifest)
        self._listen = rng.standard_normal((manifest.latent.dim + 1, EMBEDDING))
        self._speak = rng.standard_normal((len(WORDS) + 1, EMBEDDING))
        self._codes = rng.standard_normal((ABSENT_CODE + 1, LAYERS, WIDTH))
        self._tokens = rng.standard_normal((VOCABULARY + 1, WIDTH))
        self._brief = rng.standard_normal((brief_size(EMBEDDING), WIDTH))
        self._out = rng.standard_normal((WIDTH, VOCABULARY))
        self._clock = 0.2 * rng.standard_normal((CLOCK_SIZE, WIDTH))
        self._evidence = np.zeros((VOCABULARY + 1, EVIDENCE_SIZE))
        self._evidence[:, :SIXTEENTHS] = np.eye(SIXTEENTHS)[np.arange(VOCABULARY + 1) % SIXTEENTHS]
        self.graphs: Mapping[str, Callable[[Feeds], Outputs]] = {
            "semantic": self.semantic, "music": self.music, "text": self.text,
            "quantise": self.quantise, "prefix": self.prefix, "language": self.language,
            "write": self.write, "lean": self.lean, "evidence": self.evidence,
        }  # fmt: skip

    def semantic(self, feeds: Feeds) -> Outputs:
        """audio [1, channels, samples] -> tokens [1, n], features [1, n, dim]."""
        latents = self._sine.encoder(feeds)["latents"][0]
        whole = latents[: latents.shape[0] // TOKEN_FRAMES * TOKEN_FRAMES]
        features = whole.reshape(-1, TOKEN_FRAMES, whole.shape[1]).mean(axis=1)
        pitch = (np.tanh(features[:, 0]) + 1) / 2
        tokens = np.clip(pitch * VOCABULARY, 0, VOCABULARY - 1).astype(np.int64)
        return {"tokens": tokens[None], "features": features[None].astype(np.float32)}

    def music(self, feeds: Feeds) -> Outputs:
        """features [1, n, dim] -> embedding [1, E]."""
        mean = np.append(feeds["features"][0].mean(axis=0), 1.0)
        return {"embedding": unit(mean @ self._listen)}

    def text(self, feeds: Feeds) -> Outputs:
        """words [1, n] -> embedding [1, E]."""
        return {"embedding": unit(self._speak[feeds["words"][0]].sum(axis=0))}

    def quantise(self, feeds: Feeds) -> Outputs:
        """embedding [1, E] -> codes [1, 12], quantised [1, E]."""
        place = feeds["embedding"][0].astype(np.float64)
        codes = np.clip((place[:CODES] + 1) / 2 * ABSENT_CODE, 0, ABSENT_CODE - 1)
        return {"codes": codes.astype(np.int64)[None], "quantised": unit(np.round(place * 64))}

    def prefix(self, feeds: Feeds) -> Outputs:
        """codes [1, 12] -> prefix [1, layers, 12, width]."""
        return {"prefix": self._codes[feeds["codes"]].transpose(0, 2, 1, 3).astype(np.float32)}

    def language(self, feeds: Feeds) -> Outputs:
        """Every token sees the ring, the tokens before it in the run, itself and the prompt."""
        tokens = feeds["tokens"][0]
        place = place_of(int(feeds["position"][0]) + np.arange(tokens.shape[0]))
        ways = np.pad(place, ((0, 0), (0, WIDTH - 2)))
        own = [np.tanh((layer + 1) * self._tokens[tokens] + ways) for layer in range(LAYERS)]
        asked = feeds["prefix"][0].mean(axis=(0, 1)) + feeds["brief"][0] @ self._brief
        clock = feeds["clock"][0] @ self._clock
        filled = feeds["filled"][0] > 0.5
        logits = np.empty((tokens.shape[0], VOCABULARY))
        for i in range(tokens.shape[0]):
            seen = [
                np.concatenate([feeds[f"past_{layer}"][0, filled], own[layer][: i + 1]])
                for layer in range(LAYERS)
            ]
            hidden = sum((rows.mean(axis=0) for rows in seen), own[0][i] + asked + clock[i])
            logits[i] = 2.0 * np.tanh(hidden) @ self._out
        after = {f"past_{layer}_next": own[layer][None] for layer in range(LAYERS)}
        return {
            name: array.astype(np.float32)
            for name, array in {"logits": logits[None], **after}.items()
        }

    def write(self, feeds: Feeds) -> Outputs:
        """A run of tokens: `language` for each, behind the ring and those before it in the run."""
        token, runs, said, chosen = feeds["token"], dict[str, list[np.ndarray]](), [], []
        rings = [f"past_{layer}" for layer in range(LAYERS)]
        for i in range(feeds["favour"].shape[1]):
            filled = np.pad(feeds["filled"][:, i], ((0, 0), (0, i)), constant_values=1.0)
            seen = {ring: np.concatenate([feeds[ring], *runs.get(ring, [])], 1) for ring in rings}
            now = {"tokens": token, "clock": feeds["clock"][:, i : i + 1], "filled": filled}
            after = self.language({**feeds, **now, **seen, "position": feeds["position"] + i})
            said.append(after["logits"])
            token = (after["logits"] + feeds["favour"][:, i : i + 1]).argmax(-1)
            chosen.append(token)
            for ring in rings:
                runs.setdefault(ring, []).append(after[f"{ring}_next"])
        nexts = {f"{ring}_next": np.concatenate(runs[ring], 1) for ring in rings}
        return {"logits": np.concatenate(said, 1), "tokens": np.concatenate(chosen, 1), **nexts}

    def lean(self, feeds: Feeds) -> Outputs:
        """brief [1, Bf] -> lean [1, V]."""
        asked = feeds["brief"].astype(np.float64) @ self._brief
        return {"lean": (0.1 * asked @ self._out).astype(np.float32)}

    def evidence(self, feeds: Feeds) -> Outputs:
        """tokens [1, n] -> evidence [1, n, 64]: a place in the bar each, and no key."""
        return {"evidence": self._evidence[feeds["tokens"]].astype(np.float32)}


def unit(place: Doubles) -> np.ndarray:
    """float32[1, E] of length 1."""
    return (place / max(float(np.linalg.norm(place)), 1e-9))[None].astype(np.float32)


def prompting_graphs(sizes: PromptingSpec, channels: int, dim: int) -> dict[str, GraphSpec]:
    """The graphs of `Parrot` as a manifest says them."""
    place: Shape = (1, sizes.embedding)
    features: tuple[str, Shape] = ("features", (1, "tokens", dim))
    prefix: tuple[str, Shape] = ("prefix", (1, LAYERS, sizes.codes, WIDTH))
    past = tuple(
        StateSpec(f"past_{layer}", "float32", (1, sizes.language_context, WIDTH), ring_axis=1)
        for layer in range(LAYERS)
    )
    language = _graph(
        "language",
        [("tokens", (1, "n")), ("brief", (1, sizes.brief_size)),
         ("clock", (1, "n", CLOCK_SIZE)), ("position", (1,)),
         ("filled", (1, sizes.language_context)), prefix],
        [("logits", (1, "n", sizes.vocabulary))], past, PLACE_PERIOD,
    )  # fmt: skip
    write = _graph(
        "write",
        [("token", (1, 1)), ("favour", (1, "n", sizes.vocabulary)),
         ("brief", (1, sizes.brief_size)), ("clock", (1, "n", CLOCK_SIZE)), ("position", (1,)),
         ("filled", (1, "n", sizes.language_context)), prefix],
        [("logits", (1, "n", sizes.vocabulary)), ("tokens", (1, "n"))], past, PLACE_PERIOD,
    )  # fmt: skip
    audio: list[tuple[str, Shape]] = [("audio", (1, channels, "samples"))]
    return {
        "semantic": _graph("semantic", audio, [("tokens", (1, "tokens")), features]),
        "music": _graph("music", [features], [("embedding", place)]),
        "text": _graph("text", [("words", (1, "words"))], [("embedding", place)]),
        "quantise": _graph(
            "quantise", [("embedding", place)],
            [("codes", (1, sizes.codes)), ("quantised", place)],
        ),
        "prefix": _graph("prefix", [("codes", (1, sizes.codes))], [prefix]),
        "language": language,
        "write": write,
        "lean": _graph(
            "lean", [("brief", (1, sizes.brief_size))], [("lean", (1, sizes.vocabulary))]
        ),
        "evidence": _graph(
            "evidence", [("tokens", (1, "n"))], [("evidence", (1, "n", EVIDENCE_SIZE))]
        ),
    }  # fmt: skip


WHOLE = ("token", "tokens", "words", "codes", "position")
"""Tensors of whole numbers."""


def _graph(
    name: str, inputs: list[tuple[str, Shape]], outputs: list[tuple[str, Shape]],
    states: tuple[StateSpec, ...] = (), period: int | None = None,
) -> GraphSpec:  # fmt: skip
    enter, leave = (
        tuple(TensorSpec(t, "int64" if t in WHOLE else "float32", shape) for t, shape in side)
        for side in (inputs, outputs)
    )
    return GraphSpec(f"{name}.onnx", enter, leave, states, period)
