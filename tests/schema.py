"""Checks a value against the part of JSON Schema that docs/protocol.schema.json uses."""

from __future__ import annotations

from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,),
    "integer": (int,), "number": (int, float), "null": (type(None),),
}  # fmt: skip
BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "const": lambda value, bound: value == bound,
    "enum": lambda value, bound: value in bound,
}
OTHER = {"description", "default", "title", "$schema", "$defs"}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """What is wrong with a value, and fields that the schema does not know; none if it is right."""
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, place)
    if "anyOf" in schema:
        found = [faults(value, option, root, place) for option in schema["anyOf"]]
        return [] if [] in found else [f"{place} fits none: {min(found, key=len)}"]
    unknown = schema.keys() - BOUNDS.keys() - OTHER - STRUCTURE
    assert not unknown, f"the check does not know {unknown}"
    kinds = KINDS.get(schema.get("type", ""), (object,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and int in kinds):
        return [f"{place} is {value!r:.40}, no {schema['type']}"]
    wrong = [
        name for name in BOUNDS.keys() & schema.keys() if not BOUNDS[name](value, schema[name])
    ]
    found = [f"{place} is {value!r:.40}: {name} {schema[name]}" for name in wrong]
    if isinstance(value, dict):
        found += _fields(value, schema, root, place)
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += faults(item, schema.get("items", {}), root, f"{place}[{number}]")
    return found


STRUCTURE = {"type", "properties", "required", "items", "additionalProperties"}


def _fields(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], place: str
) -> list[str]:
    missing = [name for name in schema.get("required", ()) if name not in value]
    found = [f"{place}.{name} is missing" for name in missing]
    for name, inner in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if known is None:
            found.append(f"{place}.{name} is not in the schema")
        else:
            found += faults(inner, known, root, f"{place}.{name}")
    return found
