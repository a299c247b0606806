"""The parts of a manifest that are not graphs, as frozen dataclasses read from its JSON."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BundleError, UsageError
from engine.fields import Fields

ABSENT_CODE = 256
"""The prompt code that stands for no prompt; codes of a prompt are below it."""


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """Audio is float32[samples, channels] in [−1, 1] at this rate."""

    sample_rate_hz: int
    channels: int

    @classmethod
    def read(cls, fields: Fields) -> AudioSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.whole("sample_rate_hz"), fields.whole("channels"))


@dataclass(frozen=True, slots=True)
class LatentSpec:
    """Latents are float32[frames, dim] of unit variance, `frame_samples` samples to a frame."""

    rate_hz: int
    dim: int
    frame_samples: int

    @classmethod
    def read(cls, fields: Fields) -> LatentSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.whole("rate_hz"), fields.whole("dim"), fields.whole("frame_samples"))


@dataclass(frozen=True, slots=True)
class ContextSpec:
    """How the velocity network looks back.

    `cached`: a ring of `chunks` finished chunks. `window`: `chunks` chunks in all, finished and
    in flight. `angle` is δ_ctx in radians, the angle that finished chunks carry.
    """

    kind: str
    chunks: int
    angle: float

    @classmethod
    def read(cls, fields: Fields) -> ContextSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(
            fields.text("kind", ("cached", "window")), fields.whole("chunks"),
            fields.number("angle"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LadderSpec:
    """T = `steps` rungs, J = `depth` chunks in flight, T/J rungs apart.

    `fallback_steps` are the fewer steps to take when time is short, most first; like all steps
    asked for later they are rounded up to what the depth divides. UsageError if the depth does
    not divide T.
    """

    steps: int
    depth: int = 1
    fallback_steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.depth < 1 or self.steps < 1 or self.steps % self.depth:
            raise UsageError(
                f"a ladder of {self.steps} steps cannot hold {self.depth} chunks: "
                "the depth must divide the steps"
            )

    def rounded(self, steps: int) -> int:
        """At least so many steps, and a multiple of the depth."""
        return -(-max(steps, 1) // self.depth) * self.depth

    @property
    def passes_per_chunk(self) -> int:
        """T/J: passes between two finished chunks."""
        return self.steps // self.depth

    @classmethod
    def read(cls, fields: Fields) -> LadderSpec:
        """From the manifest; BundleError names a wrong field."""
        try:
            return cls(
                fields.whole("steps"), fields.whole("depth"), fields.wholes("fallback_steps")
            )
        except UsageError as error:
            raise BundleError(f"{fields.place}: {error}") from None


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """One control: a *hand* acts at the sink at once, an *idea* on the next chunk that enters.

    An `optional` one may be None, which leaves it to the music, and is so until it is set; its
    default is where a fader for it starts.
    """

    name: str
    kind: str
    minimum: float
    maximum: float
    default: float
    unit: str
    whole: bool = False
    optional: bool = False

    @property
    def latency(self) -> str:
        """Where it acts: `sink` (within 50 ms) or `chunk` (the next to enter the window)."""
        return "sink" if self.kind == "hand" else "chunk"

    @classmethod
    def read(cls, fields: Fields) -> ControlSpec:
        """From the manifest; BundleError names a wrong field."""
        spec = cls(
            fields.text("name"), fields.text("kind", ("hand", "idea")),
            fields.number("minimum"), fields.number("maximum"), fields.number("default"),
            fields.text("unit"), fields.flag("whole"), fields.flag("optional"),
        )  # fmt: skip
        if not spec.minimum <= spec.default <= spec.maximum:
            raise BundleError(
                f"{fields.place}: default {spec.default:g} is outside "
                f"{spec.minimum:g} … {spec.maximum:g}"
            )
        return spec


PULL, PUSH, FADE_S = 0.8, 0.0, 6.0
"""What a bundle that says nothing else has."""


@dataclass(frozen=True, slots=True)
class PromptingSpec:
    """How a bundle is asked: sizes that its prompting graphs and the engine agree on."""

    embedding: int  # E, width of the joint music-text space
    codes: int  # in front of the language model
    vocabulary: int  # V semantic tokens; token V starts the language model, and means none
    token_frames: int  # latent frames of one token
    language_context: int  # L tokens that the language model looks back on
    words: str  # file: a JSON list of the words that the text graph knows; ids count from 1
    brief_size: int  # length of the brief, see engine.brief
    pull: float = PULL  # of log P(token | brief) / P(token), added to the logits by guidance 1
    push: float = PUSH  # how much more of it right behind a change of what is asked: 1 doubles it
    fade_s: float = FADE_S  # in which that falls to 1/e
    key_pull: float = 0.0  # of how badly a token fits the key, taken from its logit
    beat_pull: float = 0.0  # the same of its place in the bar

    def __post_init__(self) -> None:
        """BundleError for a pull that cannot be."""
        least = min(self.pull, self.push, self.key_pull, self.beat_pull)
        if not (least >= 0 and self.fade_s > 0):
            raise BundleError(
                f"prompting: pull {self.pull:g}, push {self.push:g}, key_pull {self.key_pull:g} "
                f"and beat_pull {self.beat_pull:g} are at least 0, fade_s {self.fade_s:g} is more "
                "than 0"
            )

    @classmethod
    def read(cls, fields: Fields) -> PromptingSpec:
        """From the manifest; BundleError names a wrong field."""
        pulls = ("pull", "push", "fade_s", "key_pull", "beat_pull")
        return cls(
            fields.whole("embedding"), fields.whole("codes"), fields.whole("vocabulary"),
            fields.whole("token_frames"), fields.whole("language_context"), fields.text("words"),
            fields.whole("brief_size"),
            **{name: fields.number(name) for name in pulls if fields.has(name)},
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of the bundle."""

    sha256: str
    bytes: int

    @classmethod
    def read(cls, fields: Fields) -> FileSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.text("sha256"), fields.whole("bytes", 0))


@dataclass(frozen=True, slots=True)
class GoldenSpec:
    """A check of the whole path: the latents of the first chunks of a stream without a prompt.

    `file` is an .npz whose array `latents` is float32[chunks·frames, dim].
    """

    file: str
    seed: int
    steps: int
    chunks: int
    tolerance: float

    @classmethod
    def read(cls, fields: Fields) -> GoldenSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(
            fields.text("file"), fields.whole("seed", 0), fields.whole("steps"),
            fields.whole("chunks"), fields.number("tolerance"),
        )  # fmt: skip
