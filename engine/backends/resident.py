"""What a stream keeps between runs, kept on the device: rings of finished chunks, decoder states.

The engine's own context and decoder hold these in arrays and hand them over with every run; here
only what changes crosses over: latents, angles and what is asked go there, velocities and audio
come back. A commit copies what a chunk leaves behind into its slot of the ring, on the device. The
decoder has every state twice and runs from one set into the other, in turn.

`_states` are the same arrays that `engine.context` and `engine.decoder` have, for who saves or
restores a stream: asking for them brings them here, and the next run takes them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.backends.device import Device, DeviceSession, buffer_like
from engine.bundle import Bundle
from engine.context import CachedContext, Context
from engine.session import Array, Floats, Session
from engine.slots import Descent, Run, Slots
from engine.tensors import StateSpec, TensorSpec


class DeviceBackend:
    """What the backends on a device have in common; `host` are sessions that run elsewhere."""

    name = "device"

    def providers(self) -> list[str]:
        """What runs the graphs."""
        return [self.device.name]

    def __init__(self, bundle: Bundle, device: Device, host: Mapping[str, Session]) -> None:
        self._bundle, self.device, self._host = bundle, device, host

    def session(self, graph: str) -> Session:
        """The session of one graph."""
        return self._host[graph] if graph in self._host else DeviceSession(self.device, graph)

    def context(self, frames: int, depth: int) -> Context | None:
        """Rings of finished chunks on the device; None where there are none."""
        cached = self._bundle.manifest.context.kind == "cached"
        return ResidentContext(self._bundle, self, frames) if cached else None

    def decoder(self, frames: int) -> ResidentDecoder:
        """A decoder whose states stay on the device."""
        return ResidentDecoder(self._bundle, self.session("decoder"), self.device, frames)


class Resident:
    """Buffers of states, and the arrays they are for whoever looks at them between runs."""

    def __init__(self, device: Device, specs: Sequence[StateSpec]) -> None:
        self.specs = specs
        self.buffers = {spec.name: device.buffer(_sizes(spec), spec.dtype) for spec in specs}
        self._device = device
        self._mirror = {spec.name: np.zeros(_sizes(spec), spec.dtype) for spec in specs}
        self._shown = False

    def reset(self) -> None:
        """Back to the initial states."""
        for spec in self.specs:
            self._mirror[spec.name].fill(spec.initial)
        self._shown = True

    def shown(self) -> dict[str, Array]:
        """The states as arrays that may be written."""
        if not self._shown:
            for buffer in self.buffers.values():
                buffer.fetch()
            self._device.wait()
            for name, buffer in self.buffers.items():
                buffer.land(self._mirror[name])
            self._shown = True
        return self._mirror

    def take_back(self) -> None:
        """Before a run: what was shown, and may have been written, goes to the device."""
        if self._shown:
            for name, buffer in self.buffers.items():
                buffer.write(self._mirror[name])
            self._shown = False


class ResidentContext(CachedContext):
    """`engine.context.CachedContext` with its rings on a device."""

    def __init__(self, bundle: Bundle, backend: DeviceBackend, frames: int) -> None:
        slots = ResidentSlots(bundle, backend, frames)
        self.rings = slots.resident
        super().__init__(bundle, backend, frames, slots)


class ResidentSlots(Slots):
    """One row, on the device; finished chunks enter it one by one."""

    def __init__(self, bundle: Bundle, backend: DeviceBackend, frames: int) -> None:
        super().__init__(bundle, backend, frames)
        self.device = backend.device
        self.resident = Resident(self.device, self.spec.states)
        self.at_once = 1
        self.descend = None  # its rings would have to be brought here

    @property
    def states(self) -> dict[str, Array]:
        """Brought here; the next run takes them back."""
        return self.resident.shown()

    def new_run(self, chunks: int, start: int, end: int) -> ResidentRun:
        """A run on the device."""
        return ResidentRun(self, chunks, start, end)

    def keep(self, run: Run | Descent, row: int, slots: Sequence[int]) -> None:
        """What chunks left, into slots of the rings, on the device."""
        assert isinstance(run, ResidentRun)
        for state in self.spec.states:
            made, ring = run.made[state.next_name], self.resident.buffers[state.name]
            for chunk, slot in enumerate(slots):
                self.device.put(made, chunk, ring, slot, state.ring_axis or 0)


class ResidentRun(Run):
    """A run whose states stay on the device: what goes there and comes back."""

    def __init__(self, slots: ResidentSlots, chunks: int, start: int, end: int) -> None:
        super().__init__(slots, chunks, start, end)
        device, self._resident = slots.device, slots.resident
        entering = self.entering
        self._entering = [(buffer_like(device, array), array) for array in entering.values()]
        self.made = {name: buffer_like(device, array) for name, array in self.left.items()}
        out = self.made | {"velocity": buffer_like(device, self.velocity)}
        feeds = dict(zip(entering, (buffer for buffer, _ in self._entering), strict=True))
        self._queue = device.bind("velocity", feeds | self._resident.buffers, out)
        self._out, self._wait = out["velocity"], device.wait

    def go(self, rows: Sequence[int]) -> None:
        """The one row there is."""
        self._resident.take_back()
        for buffer, array in self._entering:
            buffer.write(array)
        self._queue()
        self._out.fetch()
        self._wait()
        self._out.land(self.velocity)


class ResidentDecoder:
    """`engine.decoder.StreamDecoder` with its states on a device, two sets of them."""

    def __init__(self, bundle: Bundle, session: Session, device: Device, frames: int) -> None:
        manifest = bundle.manifest
        self._device, self._session = device, session
        self._specs = manifest.graphs["decoder"].states
        self._sets = [Resident(device, self._specs) for _ in range(2)]
        samples = frames * manifest.latent.frame_samples
        self._latents = np.zeros((1, frames, manifest.latent.dim), np.float32)
        self._audio = np.zeros((1, manifest.audio.channels, samples), np.float32)
        self._in = buffer_like(device, self._latents)
        self._out = buffer_like(device, self._audio)
        self._runs = [self._bound(*pair) for pair in (self._sets, self._sets[::-1])]
        self._turn = 0
        self.reset()

    @property
    def _states(self) -> dict[str, Array]:
        return self._sets[self._turn].shown()

    def reset(self) -> None:
        """Back to the initial states: the next piece is a beginning."""
        self._sets[self._turn].reset()

    def decode(self, latents: Floats) -> Floats:
        """Latents float32[frames, dim] -> a new float32[frames·frame_samples, channels]."""
        if latents.shape[0] != self._latents.shape[1]:
            return self._unusual(latents)
        self._sets[self._turn].take_back()
        self._latents[0] = latents
        self._in.write(self._latents)
        self._runs[self._turn]()
        self._turn = 1 - self._turn
        self._out.fetch()
        self._device.wait()
        self._out.land(self._audio)
        return np.array(self._audio[0].T, np.float32, order="C")

    def _unusual(self, latents: Floats) -> Floats:
        """A piece of another length."""
        states = self._states
        made = self._session.run({"latents": np.ascontiguousarray(latents[None]), **states})
        for spec in self._specs:
            states[spec.name][...] = made[spec.next_name]
        return np.array(made["audio"][0].T, np.float32, order="C")

    def _bound(self, before: Resident, after: Resident) -> Callable[[], None]:
        made = {spec.next_name: after.buffers[spec.name] for spec in after.specs}
        return self._device.bind(
            "decoder", {"latents": self._in, **before.buffers}, {"audio": self._out, **made}
        )


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    return spec.resolve({"batch": 1})
