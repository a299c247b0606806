"""Records while the music plays: whoever makes audio hands it over and never waits for the disk."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path
from time import strftime

import soundfile

from engine.rig.flac import LiveFlac
from engine.session import Floats
from engine.spec import AudioSpec

MOST_WAITING_S = 30.0
"""Audio that may wait for a slow disk; beyond it blocks are dropped, and counted."""

log = logging.getLogger(__name__)


class Recorder:
    """One recording at a time, in a thread of its own."""

    def __init__(self, audio: AudioSpec) -> None:
        self.path: Path | None = None
        self.samples = 0
        self.dropped_samples = 0
        self.trouble = ""
        """Why the last recording ended early; empty if it did not."""
        self._audio = audio
        self._most_samples = round(MOST_WAITING_S * audio.sample_rate_hz)
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Floats | None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def recording(self) -> bool:
        """True while blocks are written."""
        return self._queue is not None

    def start(self, path: Path) -> None:
        """Begin a recording; one that runs is completed before. UsageError for a bad place."""
        self.stop()
        file = LiveFlac(path, self._audio)
        blocks: queue.SimpleQueue[Floats | None] = queue.SimpleQueue()
        self.path, self.samples, self.dropped_samples, self.trouble = path, 0, 0, ""
        self._waiting = 0
        self._thread = threading.Thread(
            target=self._write, args=(file, blocks), name="perpetuo-recorder", daemon=True
        )
        self._thread.start()
        self._queue = blocks

    def take(self, audio: Floats) -> None:
        """Record a block float32[samples, channels]; nothing where no recording runs."""
        blocks = self._queue
        if blocks is None:
            return
        with self._lock:
            fits = self._waiting + audio.shape[0] <= self._most_samples
            self._waiting += audio.shape[0] if fits else 0
        if fits:
            blocks.put(audio.copy())
        else:
            self.dropped_samples += audio.shape[0]

    def stop(self) -> None:
        """Complete the recording, if there is one."""
        blocks, self._queue = self._queue, None
        if blocks is not None:
            blocks.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, file: LiveFlac, blocks: queue.SimpleQueue[Floats | None]) -> None:
        try:
            while (audio := blocks.get()) is not None:
                with self._lock:
                    self._waiting -= audio.shape[0]
                file.write(audio)
                self.samples = file.samples
        except (OSError, soundfile.LibsndfileError) as error:
            self._give_up(file, error)
        try:
            file.close()
        except (OSError, soundfile.LibsndfileError) as error:
            self._give_up(file, error)

    def _give_up(self, file: LiveFlac, error: Exception) -> None:
        """The music goes on, the file keeps what it holds, and somebody is told."""
        self._queue = None
        reason = getattr(error, "strerror", None) or str(error)
        self.trouble = f"{file.path} ends at {file.samples:,} samples: {reason}"
        log.error("the recording has ended: %s", self.trouble)


def fresh_name(folder: Path) -> Path:
    """A name for a recording that is not taken."""
    stem = strftime("perpetuo-%Y%m%d-%H%M%S")
    names = (f"{stem}{f'-{n}' if n else ''}.flac" for n in range(10**6))
    return next(folder / name for name in names if not (folder / name).exists())
