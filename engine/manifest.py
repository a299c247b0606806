"""What a bundle says about itself: to and from the manifest's JSON, and at each size of chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine.errors import BundleError, UsageError
from engine.fields import Fields
from engine.spec import (
    AudioSpec,
    ContextSpec,
    ControlSpec,
    FileSpec,
    GoldenSpec,
    LadderSpec,
    LatentSpec,
    PromptingSpec,
)
from engine.tensors import GraphSpec

FORMAT = 1
"""The manifest format this engine reads and writes."""


@dataclass(frozen=True, slots=True)
class SizeSpec:
    """What another size of chunk changes: how many of them are looked back on, and the graphs."""

    context_chunks: int
    graphs: Mapping[str, GraphSpec]

    @classmethod
    def read(cls, fields: Fields) -> SizeSpec:
        """From the manifest; BundleError names a wrong field."""
        return cls(fields.whole("context_chunks"), fields.inner("graphs").by_name(GraphSpec.read))


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything the engine knows about a bundle.

    `chunk_frames` are all sizes of chunk that it plays, the default first. The context and the
    graphs are those of the default; `sized` has what differs at another size, under its number of
    frames as text. A size without an entry is played by the graphs of the default.
    """

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
    sized: Mapping[str, SizeSpec] = field(default_factory=dict)

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk of the default size."""
        return self.chunk_frames[0] * self.latent.frame_samples

    @property
    def chunk_s(self) -> float:
        """Seconds in a chunk of the default size."""
        return self.chunk_samples / self.audio.sample_rate_hz

    @property
    def every_graph(self) -> tuple[GraphSpec, ...]:
        """The graphs of all sizes of chunk."""
        others = (graph for size in self.sized.values() for graph in size.graphs.values())
        return (*self.graphs.values(), *others)

    def at(self, frames: int) -> Manifest:
        """The manifest with chunks of so many frames as the default; UsageError names the others.

        It lists the same sizes, so that it can be brought back. Only golden latents are lost: they
        are of the size that was packed.
        """
        if frames not in self.chunk_frames:
            listed = ", ".join(map(str, self.chunk_frames))
            raise UsageError(f"chunks of {frames} frames; bundle {self.name} has: {listed}")
        if frames == self.chunk_frames[0]:
            return self
        others = (size for size in self.chunk_frames if size != frames)
        ordered = replace(self, chunk_frames=(frames, *others), golden=None)
        size = self.sized.get(str(frames))
        return ordered if size is None else ordered._with(size)

    def _with(self, size: SizeSpec) -> Manifest:
        """What this size changes; what it takes the place of is that of the sizes without."""
        here = SizeSpec(self.context.chunks, {name: self.graphs[name] for name in size.graphs})
        return replace(
            self,
            context=replace(self.context, chunks=size.context_chunks),
            graphs={**self.graphs, **size.graphs},
            sized={str(n): self.sized.get(str(n), here) for n in self.chunk_frames[1:]},
        )

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON values; `Manifest.from_json` reads it back equal."""
        values = {key: _plain(value) for key, value in asdict(self).items()}
        if not self.sized:
            del values["sized"]  # the form of bundles that have one size
        return values

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
            controls=fields.each("controls", ControlSpec.read),
            graphs=fields.inner("graphs").by_name(GraphSpec.read),
            files=fields.inner("files").by_name(FileSpec.read),
            golden=GoldenSpec.read(fields.inner("golden")) if fields.has("golden") else None,
            prompting=(
                PromptingSpec.read(fields.inner("prompting")) if fields.has("prompting") else None
            ),
            trained_on=fields.text("trained_on") if fields.has("trained_on") else "",
            measured=_measured(fields.inner("measured")) if fields.has("measured") else {},
            sized=fields.inner("sized").by_name(SizeSpec.read) if fields.has("sized") else {},
        )


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
