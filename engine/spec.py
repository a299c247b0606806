"""What a bundle says about itself, as frozen dataclasses: to and from the manifest's JSON.

A shape holds whole numbers, or names for the axes that are free: `samples`, `frames`, `chunks`
(in flight), `context_chunks`, `window_frames`, `batch`, `tokens`, `words`, `n` (tokens of a run).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.errors import BundleError, UsageError
from engine.fields import Fields

FORMAT = 1
"""The manifest format this engine reads and writes."""

DTYPES = ("float32", "int64")
"""Element types of the tensors that enter and leave a graph."""

ABSENT_CODE = 256
"""The prompt code that stands for no prompt; codes of a prompt are below it."""

Shape = tuple[int | str, ...]


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
class TensorSpec:
    """One tensor at the door of a graph."""

    name: str
    dtype: str
    shape: Shape

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers; BundleError if it has a free axis that `sizes` does not name."""
        for axis in self.shape:
            if isinstance(axis, str) and axis not in sizes:
                raise BundleError(
                    f'tensor {self.name} has a free axis "{axis}", known here: '
                    + ", ".join(sorted(sizes))
                )
        return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.shape)

    @classmethod
    def read(cls, fields: Fields) -> TensorSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.text("name"), fields.text("dtype", DTYPES), _shape(fields))


@dataclass(frozen=True, slots=True)
class StateSpec(TensorSpec):
    """A state `x` that leaves the graph as `x_next`.

    A ring state has one slot a finished chunk (or token, in `language`) along `ring_axis`; its
    `x_next` holds there the chunks of the run. A plain state (`ring_axis` None) is replaced whole.
    """

    initial: float = 0.0
    ring_axis: int | None = None

    @property
    def next_name(self) -> str:
        """Name of the output that replaces it."""
        return self.name + "_next"

    @property
    def next_spec(self) -> TensorSpec:
        """The output that replaces it."""
        shape = list(self.shape)
        if self.ring_axis is not None:
            shape[self.ring_axis] = "chunks"
        return TensorSpec(self.next_name, self.dtype, tuple(shape))

    @classmethod
    def read(cls, fields: Fields) -> StateSpec:
        """From the manifest; BundleError names a wrong field."""
        shape = _shape(fields)
        axis = fields.whole("ring_axis", 0) if fields.has("ring_axis") else None
        if axis is not None and axis >= len(shape):
            raise BundleError(f"{fields.place}.ring_axis is {axis}, the shape has {len(shape)}")
        dtype = fields.text("dtype", DTYPES)
        return cls(fields.text("name"), dtype, shape, fields.number("initial"), axis)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph: its file, its tensors, its states, and other files for other machines."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    position_period: int | None = None
    variants: Mapping[str, str] = field(default_factory=dict)

    def input(self, name: str) -> TensorSpec:
        """The input of that name; there must be one."""
        return next(tensor for tensor in self.inputs if tensor.name == name)

    @classmethod
    def read(cls, fields: Fields) -> GraphSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(
            file=fields.text("file"),
            inputs=_list(fields, "inputs", TensorSpec),
            outputs=_list(fields, "outputs", TensorSpec),
            states=_list(fields, "states", StateSpec) if fields.has("states") else (),
            position_period=(
                fields.whole("position_period") if fields.has("position_period") else None
            ),
            variants=_texts(fields.inner("variants")) if fields.has("variants") else {},
        )


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
    key_pull: float = 0.0  # of log P(key | token) / P(key), for a key that is asked

    def __post_init__(self) -> None:
        """BundleError for a pull that cannot be."""
        least = min(self.pull, self.push, self.key_pull)
        if not (least >= 0 and self.fade_s > 0):
            raise BundleError(
                f"prompting: pull {self.pull:g}, push {self.push:g} and key_pull {self.key_pull:g} "
                f"are at least 0, fade_s {self.fade_s:g} is more than 0"
            )

    @classmethod
    def read(cls, fields: Fields) -> PromptingSpec:
        """From the manifest; BundleError names a wrong field."""
        pulls = ("pull", "push", "fade_s", "key_pull")
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything the engine knows about a bundle."""

    name: str
    version: str
    licence: str
    audio: AudioSpec
    latent: LatentSpec
    chunk_frames: tuple[int, ...]
    context: ContextSpec
    ladder: LadderSpec
    conditions: tuple[str, ...]
    controls: tuple[ControlSpec, ...]
    graphs: Mapping[str, GraphSpec]
    files: Mapping[str, FileSpec]
    golden: GoldenSpec | None = None
    prompting: PromptingSpec | None = None
    trained_on: str = ""
    measured: Mapping[str, float | str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk of the default size."""
        return self.chunk_frames[0] * self.latent.frame_samples

    @property
    def chunk_s(self) -> float:
        """Seconds in a chunk of the default size."""
        return self.chunk_samples / self.audio.sample_rate_hz

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON values; `Manifest.from_json` reads it back equal."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """Read a manifest; BundleError names the field that is wrong."""
        fields = Fields(value, "manifest")
        found = fields.whole("format", 0)
        if found != FORMAT:
            raise BundleError(
                f"manifest.format is {found}, this engine reads {FORMAT}: "
                "use a bundle and an engine of the same release"
            )
        return cls(
            name=fields.text("name"),
            version=fields.text("version"),
            licence=fields.text("licence"),
            audio=AudioSpec.read(fields.inner("audio")),
            latent=LatentSpec.read(fields.inner("latent")),
            chunk_frames=fields.wholes("chunk_frames"),
            context=ContextSpec.read(fields.inner("context")),
            ladder=LadderSpec.read(fields.inner("ladder")),
            conditions=fields.texts("conditions"),
            controls=_list(fields, "controls", ControlSpec),
            graphs=_map(fields.inner("graphs"), GraphSpec),
            files=_map(fields.inner("files"), FileSpec),
            golden=GoldenSpec.read(fields.inner("golden")) if fields.has("golden") else None,
            prompting=(
                PromptingSpec.read(fields.inner("prompting")) if fields.has("prompting") else None
            ),
            trained_on=fields.text("trained_on") if fields.has("trained_on") else "",
            measured=_measured(fields.inner("measured")) if fields.has("measured") else {},
        )


def _shape(fields: Fields) -> Shape:
    shape = fields.items("shape")
    if any(not isinstance(axis, str) and (type(axis) is not int or axis < 1) for axis in shape):
        raise BundleError(f"{fields.place}.shape is {shape}, expected sizes from 1 up or names")
    return tuple(shape)


def _list(fields: Fields, key: str, kind: Any) -> tuple[Any, ...]:
    items = enumerate(fields.items(key))
    return tuple(kind.read(Fields(item, f"{fields.place}.{key}[{i}]")) for i, item in items)


def _map(fields: Fields, kind: Any) -> dict[str, Any]:
    return {key: kind.read(fields.inner(key)) for key in fields.values}


def _texts(fields: Fields) -> dict[str, str]:
    return {key: fields.text(key) for key in fields.values}


def _measured(fields: Fields) -> dict[str, float | str]:
    return {
        key: value if isinstance(value, str) else fields.number(key)
        for key, value in fields.values.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
