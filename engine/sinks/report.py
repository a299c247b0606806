"""What the server says of itself: the hello and state messages, /info, health and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from engine.bundle import Bundle
from engine.controls import Controls
from engine.sinks.audience import Audience
from engine.sinks.feed import Feed, Pacer
from engine.sinks.metrics import Values
from engine.sinks.prompting import Prompting
from engine.status import RunnerStatus
from engine.wire.messages import CHOICES, MessageId, encode, server_hello
from engine.wire.native import SUBPROTOCOL
from engine.wire.packets import VERSION, Codec


class Report:
    """Puts what feed, audience, engine and controls know into words."""

    def __init__(
        self, *, bundle: Bundle, version: str, controls: Controls, feed: Feed, audience: Audience,
        pacer: Pacer, chunk_samples: int, depth: int, packet_samples: int, token_required: bool,
        prompting: Prompting, states: bool = False,
    ) -> None:  # fmt: skip
        manifest = bundle.manifest
        self.refused: Counter[str] = Counter()
        self.messages = 0
        self._rate_hz = manifest.audio.sample_rate_hz
        self._audio = {
            "sample_rate_hz": self._rate_hz, "channels": manifest.audio.channels,
            "packet_samples": packet_samples,
        }  # fmt: skip
        self._version = version
        self._controls = controls
        self._specs = {  # once, not for every listener
            name: asdict(spec) | {"choices": CHOICES.get(name)}
            for name, spec in controls.specs.items()
        }
        self._feed = feed
        self._audience = audience
        self._pacer = pacer
        self._token_required = token_required
        self._prompting = prompting
        self._states = states
        self.take_up(bundle, chunk_samples, depth)

    def take_up(self, bundle: Bundle, chunk_samples: int, depth: int) -> None:
        """Another bundle of the same audio and controls plays from now on."""
        manifest = bundle.manifest
        self._bundle = {
            "name": manifest.name, "version": manifest.version, "hash": bundle.hash,
            "licence": manifest.licence,
        }  # fmt: skip
        self._window = {
            "chunk_samples": chunk_samples, "chunks": manifest.context.chunks,
            "steps": manifest.ladder.steps, "depth": depth,
        }  # fmt: skip

    def hello(self) -> str:
        """The first message of a connection."""
        now = self._controls.snapshot()
        return server_hello(
            server=f"perpetuo {self._version}",
            epoch=self._feed.epoch,
            token_required=self._token_required,
            audio=self._audio,
            codecs=self._audience.codecs,
            opus=None if self._audience.opus is None else self._audience.opus.fields(),
            window=self._window,
            bundle=self._bundle,
            controls=self._control_list(),
            prompting=self._prompting.limits(),
            states=self._states,
            revision=now.revision,
            position=self._feed.position,
        )

    def start(
        self, codec: Codec, message_id: MessageId, place: Mapping[str, object] | None = None,
        role: str = "conductor", stage: str | None = None,
    ) -> str:  # fmt: skip
        """The answer to a listener's hello: where its feed begins, and the present prompts.

        `place` is the session that it is in, None for the house's stream; `stage` is who holds the
        stage before it.
        """
        position = self._feed.position
        if codec is Codec.OPUS and self._audience.opus is not None:
            position = max(0, position - self._audience.opus.delay_samples)
        return encode(
            "start", id=message_id, codec=codec.label, position=position,
            sequence=self._feed.sequence, prompts=self._prompting.fields(),
            epoch=self._feed.epoch, session=None if place is None else dict(place),
            role=role, stage=stage,
        )  # fmt: skip

    def state(self, status: RunnerStatus) -> str:
        """The state of feed and engine, a few times a second."""
        now = self._controls.snapshot()
        ring, sounding = self._feed.ring, self._feed.sounding()
        return encode(
            "state",
            position=self._feed.position,
            sequence=self._feed.sequence,
            chunk=None if sounding is None else {
                "index": sounding.index, "position": sounding.start, "cover": sounding.cover,
            },
            rungs=[[index, round(angle, 3)] for index, angle in status.rungs],
            fill_ms=self._ms(ring.fill_samples),
            underruns=ring.shortfalls,
            filler_ms=self._ms(ring.shortfall_samples),
            tick_ms=round(1000 * status.last_tick_s, 2),
            budget_ms=round(1000 * status.budget_s, 2),
            real_time_factor=round(status.real_time_factor, 4),
            lead_ms=round(1000 * status.lead_s, 1),
            margin_ms=round(1000 * status.margin_s, 1),
            spare_ms=round(1000 * status.spare_s, 1),
            steps=status.steps,
            deadline_misses=status.deadline_misses,
            holds=status.holds,
            replaced_blocks=status.replaced_blocks,
            cover_blocks=status.cover_blocks,
            listeners=self._audience.fed,
            revision=now.revision,
            controls=dict(now.values),
        )  # fmt: skip

    def info(self, feed_url: str) -> dict[str, object]:
        """The answer of /info."""
        return {
            "name": "perpetuo",
            "version": self._version,
            "feed": feed_url,
            "subprotocol": SUBPROTOCOL,
            "protocol": VERSION,
            "token_required": self._token_required,
            "epoch": self._feed.epoch,
            "audio": self._audio,
            "codecs": [codec.label for codec in self._audience.codecs],
            "window": self._window,
            "bundle": self._bundle,
            "controls": self._control_list(),
            "prompting": self._prompting.limits(),
            "states": self._states,
            "listeners": self._audience.fed,
        }

    def trouble(self, playing: bool) -> str | None:
        """Why a listener would not hear music now; None if it would."""
        if not playing:
            return "no audio yet: the first block is being made"
        if self._feed.ring.dry:
            return "the ring is empty: the engine does not keep up"
        return None

    def metrics(self, status: RunnerStatus) -> Values:
        """The values of /metrics by the names of `engine.sinks.metrics.HELP`."""
        ring = self._feed.ring
        return {
            "listeners": self._audience.fed,
            "connections": len(self._audience),
            "ring_fill_seconds": ring.fill_samples / self._rate_hz,
            "tick_seconds": status.last_tick_s,
            "tick_budget_seconds": status.budget_s,
            "real_time_factor": status.real_time_factor,
            "lead_seconds": status.lead_s,
            "margin_seconds": status.margin_s,
            "spare_seconds": status.spare_s,
            "packets_total": self._feed.sequence,
            "packets_skipped_total": self._audience.skipped_packets,
            "late_restarts_total": self._pacer.restarts,
            "filler_seconds_total": self._feed.filler_samples / self._rate_hz,
            "ring_shortfalls_total": ring.shortfalls,
            "ticks_total": status.ticks,
            "deadline_misses_total": status.deadline_misses,
            "holds_total": status.holds,
            "replaced_blocks_total": status.replaced_blocks,
            "cover_blocks_total": status.cover_blocks,
            "workers_replaced_total": status.workers_replaced,
            "messages_total": self.messages,
            "prompt_changes_total": self._prompting.changes,
            "listeners_gone_total": self._audience.gone,
            "refused_total": self.refused,
        }

    def _control_list(self) -> list[dict[str, object]]:
        values = self._controls.snapshot().values
        return [said | {"value": values[name]} for name, said in self._specs.items()]

    def _ms(self, samples: int) -> float:
        return round(1000 * samples / self._rate_hz, 1)
