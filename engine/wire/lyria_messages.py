"""Messages of Lyria RealTime: JSON objects with one field, which says what they are."""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from engine.wire.lyria_config import config_of, snake
from engine.wire.messages import AskedPrompt, TypedError
from engine.wire.packets import Codec, encode_pcm
from engine.wire.requests import MAX_PROMPT_CHARS, MAX_PROMPTS

RATE_HZ, CHANNELS = 48000, 2
MIME_TYPE = f"audio/l16;rate={RATE_HZ};channels={CHANNELS}"
BYTES_PER_S = RATE_HZ * CHANNELS * 2 * 4 / 3
"""Of audio on the wire, base64 and all."""

KINDS = ("setup", "client_content", "music_generation_config", "playback_control")
REVISIONS = 256
"""Changes remembered: more than any ring holds."""


def parse(message: str | bytes) -> tuple[str, Any]:
    """What a client's message is, one of KINDS, and what it holds; TypedError `malformed`."""
    try:
        fields = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as reason:
        raise TypedError("malformed", f"not JSON: {str(reason)[:120]}") from None
    known = [name for name in fields if snake(name) in KINDS] if isinstance(fields, dict) else []
    if len(known) != 1:
        raise TypedError("malformed", f"a message is an object with one of {', '.join(KINDS)}")
    return snake(known[0]), fields[known[0]]


def fields_of(value: object, kind: str, code: str) -> dict[str, Any]:
    """An object with its names in snake case; TypedError `code` if it is none."""
    if not isinstance(value, dict):
        raise TypedError(code, f"{kind} is {value!r:.40}, it takes an object")
    return {snake(name): inner for name, inner in value.items()}


def read_prompts(content: object) -> tuple[AskedPrompt, ...]:
    """The weighted prompts of a clientContent, the heaviest of weight 1; TypedError `bad_prompt`.

    Prompts of weight 0 are left out, but not all of them may be.
    """
    prompts = fields_of(content, "client_content", "bad_prompt").get("weighted_prompts")
    if not isinstance(prompts, list) or len(prompts) > MAX_PROMPTS:
        found = f"{len(prompts)} long" if isinstance(prompts, list) else "not a list"
        takes = f"it takes a list of at most {MAX_PROMPTS}"
        raise TypedError("bad_prompt", f"weighted_prompts is {found}, {takes}")
    read = [_read_prompt(item, f"weighted_prompts[{k}]") for k, item in enumerate(prompts)]
    most = max((weight for _, weight in read), default=1.0)
    if most == 0:
        raise TypedError("bad_prompt", "weighted_prompts: all weights are 0, one must not be")
    return tuple(
        AskedPrompt(text, None, share) for text, weight in read if (share := weight / most) > 0
    )


def _read_prompt(item: object, place: str) -> tuple[str, float]:
    fields = fields_of(item, place, "bad_prompt")
    text, weight = fields.get("text"), fields.get("weight", 1.0)
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_PROMPT_CHARS:
        found = f"{len(text)} characters long" if isinstance(text, str) else f"{text!r:.40}"
        takes = f"it takes a text of 1 … {MAX_PROMPT_CHARS} characters"
        raise TypedError("bad_prompt", f"{place}.text is {found}, {takes}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e30:
        raise TypedError("bad_prompt", f"{place}.weight is {weight!r:.40}, it takes a number ≥ 0")
    return text, float(weight)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


# ---- from the server ------------------------------------------------------------------------


def setup_complete() -> str:
    """The answer to a setup."""
    return _encode({"setupComplete": {}})


def warning(code: str, message: str) -> str:
    """A typed line; the music goes on."""
    return _encode({"warning": f"{code}: {message}"})


def filtered_prompt(text: str, reason: str) -> str:
    """A prompt that was left out, and why."""
    return _encode({"filteredPrompt": {"text": text, "filteredReason": reason}})


def audio_chunk(audio: NDArray[np.float32], source: Mapping[str, Any]) -> str:
    """Audio float32[samples, 2] at 48 kHz, as 16-bit little-endian PCM, and what it is made of."""
    data = base64.b64encode(encode_pcm(audio, Codec.PCM_S16LE)).decode("ascii")
    chunk = {"data": data, "mimeType": MIME_TYPE, "sourceMetadata": source}
    return _encode({"serverContent": {"audioChunks": [chunk]}})


class Sources:
    """Remembers which prompts and config each revision of the controls stands for."""

    def __init__(self) -> None:
        self._revisions: list[int] = []
        self._sources: list[dict[str, Any]] = []

    def note(
        self, revision: int, prompts: Sequence[AskedPrompt], values: Mapping[str, float | None],
        wanted: bool = True,
    ) -> None:  # fmt: skip
        """From this revision on it is these; a revision that is not news changes nothing.

        Those before are forgotten where they are not `wanted`.
        """
        if self._revisions and revision <= self._revisions[-1]:
            return
        content = {"weightedPrompts": [_written(prompt) for prompt in prompts]}
        source = {"clientContent": content, "musicGenerationConfig": config_of(values)}
        old = max(0, len(self._revisions) + 1 - (REVISIONS if wanted else 1))
        self._revisions = [*self._revisions[old:], revision]
        self._sources = [*self._sources[old:], source]

    def at(self, revision: int) -> dict[str, Any]:
        """What a chunk with ideas of this revision was made from; the oldest known before that."""
        if not self._sources:
            return {}
        return self._sources[max(0, bisect_right(self._revisions, revision) - 1)]


def _written(prompt: AskedPrompt) -> dict[str, Any]:
    text = prompt.text if prompt.recording is None else f"recording {prompt.recording}"
    return {"text": text, "weight": prompt.weight}


def _encode(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)
