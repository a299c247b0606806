"""What a listener asks for, read with distrust: every refusal is a TypedError that says why."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from engine.spec import ControlSpec
from engine.wire.messages import CHOICES, MAX_MESSAGE_BYTES, AskedPrompt, MessageId, TypedError
from engine.wire.packets import Codec

MAX_ID_CHARS = 64
MAX_PROMPTS = 16
MAX_PROMPT_CHARS = 1000
MAX_WEIGHT = 100
STATE_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def too_big(message: str | bytes) -> bool:
    """True if a message exceeds 64 KiB of UTF-8."""
    if len(message) > MAX_MESSAGE_BYTES or isinstance(message, bytes):
        return len(message) > MAX_MESSAGE_BYTES
    return len(message.encode(errors="surrogatepass")) > MAX_MESSAGE_BYTES


def parse(message: str | bytes) -> dict[str, Any]:
    """The fields of a listener's message; TypedError `malformed` if it is not one."""
    if isinstance(message, bytes):
        raise TypedError("malformed", "listeners send text messages, not binary ones")
    try:
        fields = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as reason:
        raise TypedError("malformed", f"not JSON: {str(reason)[:120]}") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise TypedError("malformed", 'a message is a JSON object with a text field "type"')
    return fields


def read_id(fields: Mapping[str, Any]) -> MessageId:
    """The id of a message, None if it has none; TypedError `bad_id` if it cannot be one."""
    message_id = fields.get("id")
    if message_id is None or (isinstance(message_id, str) and len(message_id) <= MAX_ID_CHARS):
        return message_id
    if type(message_id) is int and abs(message_id) < 2**53:
        return message_id
    raise TypedError("bad_id", f"an id is a whole number or a text of up to {MAX_ID_CHARS} signs")


def read_codec(
    fields: Mapping[str, Any], codecs: Collection[Codec], message_id: MessageId
) -> Codec:
    """The codec a hello asks for, s16 if it names none; TypedError `bad_codec` if not offered."""
    label = str(fields.get("codec", Codec.PCM_S16LE.label))
    found = next((codec for codec in codecs if codec.label == label), None)
    if found is not None:
        return found
    known = ", ".join(codec.label for codec in codecs)
    wrong = "no such codec"
    if label == Codec.OPUS.label:
        wrong = "no Opus here (pip install 'perpetuo[opus]' where the server runs)"
    raise TypedError("bad_codec", f"{wrong}; there are {known}", message_id)


def read_value(
    fields: Mapping[str, Any], control: ControlSpec, message_id: MessageId
) -> float | str | None:
    """The value for a control, None to leave it free; TypedError `bad_control` otherwise.

    True is 1 and false 0; tonic and scale may come by name. Ranges and names are the engine's.
    """
    value = fields.get("value")
    if value is None and "value" in fields and control.optional:
        return None
    if isinstance(value, str) and control.name in CHOICES:
        return value
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise TypedError("bad_control", f"{control.name} takes {_takes(control)}", message_id)


def read_prompts(
    fields: Mapping[str, Any], recordings: int, message_id: MessageId
) -> tuple[AskedPrompt, ...]:
    """The prompts that are asked for, none to have no prompt; TypedError `bad_prompt`.

    `recordings` is how many recordings there are to be named, from 1.
    """
    prompts = fields.get("prompts")
    try:
        if not isinstance(prompts, list) or len(prompts) > MAX_PROMPTS:
            found = f"{len(prompts)} long" if isinstance(prompts, list) else "not a list"
            raise ValueError(f"prompts is {found}, it takes a list of at most {MAX_PROMPTS}")
        return tuple(
            _read_prompt(prompt, f"prompts[{place}]", recordings)
            for place, prompt in enumerate(prompts)
        )
    except ValueError as reason:
        raise TypedError("bad_prompt", str(reason), message_id) from None


def read_state(fields: Mapping[str, Any], message_id: MessageId) -> str:
    """The name of a musical state; TypedError `bad_state` for what cannot be one."""
    name = fields.get("state")
    if isinstance(name, str) and STATE_NAME.fullmatch(name):
        return name
    takes = "it takes 1 … 40 letters, digits, - and _"
    raise TypedError("bad_state", f"state is {name!r:.60}, {takes}", message_id)


def _read_prompt(prompt: object, place: str, recordings: int) -> AskedPrompt:
    if not isinstance(prompt, dict):
        raise ValueError(f"{place} is not an object with a text and a weight")
    weight = prompt.get("weight", 1.0)
    usable = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not usable or not 0 < weight <= MAX_WEIGHT:  # False for NaN
        raise ValueError(
            f"{place}.weight is {weight!r:.40}, it takes a number above 0, at most {MAX_WEIGHT}"
        )
    if "text" not in prompt and "recording" in prompt:
        number = _read_recording(prompt["recording"], place, recordings)
        return AskedPrompt(None, number, float(weight))
    return AskedPrompt(_read_text(prompt.get("text"), place), None, float(weight))


def _read_text(text: object, place: str) -> str:
    takes = f"it takes a text of 1 … {MAX_PROMPT_CHARS} characters"
    if not isinstance(text, str):
        raise ValueError(f"{place}.text is {text!r:.40}, {takes}")
    if not text.strip() or len(text) > MAX_PROMPT_CHARS:
        found = f"{len(text)} characters long" if text.strip() else "empty"
        raise ValueError(f"{place}.text is {found}, {takes}")
    return text


def _read_recording(number: object, place: str, recordings: int) -> int:
    if type(number) is int and 1 <= number <= recordings:
        return number
    takes = f"it takes whole numbers 1 … {recordings}" if recordings else "there are none here"
    raise ValueError(f"{place}.recording is {number!r:.40}, {takes}")


def _takes(control: ControlSpec) -> str:
    names = CHOICES.get(control.name)
    kinds = "a number, or true or false" if names is None else f"one of {', '.join(names)}"
    return f"{kinds}, or null to leave it free" if control.optional else kinds


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
