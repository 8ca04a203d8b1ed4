"""What does not fit a pydantic schema, in words: where, what is wrong, what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from video2act_ros.core.yaml_source import Location, Mistake

_BEYOND = {"greater_than": "above {gt:g}", "less_than_equal": "at most {le:g}"}


def schema_mistakes(model: type[BaseModel], content: object) -> Iterator[Mistake]:
    """Yield every key of `content` that is unknown, missing or of the wrong type.

    What a model's own validators say is left out: they speak of whole models, whose rules have their own check.
    A field's `description` and its first example say what a missing key is for.
    """
    try:
        model.model_validate(content)
    except ValidationError as error:
        for item in error.errors():
            location = tuple(item["loc"])
            if item["type"] == "value_error" and not location:
                continue
            if item["type"] == "too_short" and item["input"]:
                continue  # only because its entries have mistakes
            yield Mistake(location, _words(model, location, item))


def closest(name: object, valid: Iterable[str]) -> str:
    """Return "did you mean …?", or all valid names where none is close."""
    known = list(valid)
    near = get_close_matches(str(name), known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"


def _words(model: type[BaseModel], location: Location, item: Any) -> str:
    kind, given, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {closest(location[-1], _fields(model, location[:-1]))}"
    if kind == "missing":
        return _missing(_fields(model, location[:-1]).get(str(location[-1])), str(location[-1]))
    if kind == "literal_error":
        return f"must be one of {context['expected'].replace(' or ', ', ')}; got {_shown(given)}"
    if kind in _BEYOND:
        return f"must be {_BEYOND[kind].format(**context)}; got {_shown(given)}"
    if kind == "finite_number":
        return f"must be a finite number; got {_shown(given)}"
    if kind == "value_error":
        return str(context["error"])
    wanted = _WANTED.get(kind)
    if wanted is None:
        return str(item["msg"])
    remedy = _fill_in(model, location) if given is None else _remedy(kind, given)
    return f"must be {wanted}; got {_shown(given)}{remedy}"


_WANTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "too_short": "a list with at least one entry",
    "model_type": "keys with values",
    "dict_type": "keys with values",
}


def _missing(field: FieldInfo | None, key: str) -> str:
    meaning = f" ({field.description})" if field is not None and field.description else ""
    example = f"; for example {key}: {field.examples[0]}" if field is not None and field.examples else ""
    return f"missing key{meaning}{example}"


def _fill_in(model: type[BaseModel], location: Location) -> str:
    """Return what an empty value is for, where the schema says so."""
    field = _fields(model, location[:-1]).get(str(location[-1])) if location else None
    return f": fill it in ({field.description})" if field is not None and field.description else ""


def _shown(value: object) -> str:
    """Return a value as it stands in YAML, short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{value}'"
    if isinstance(value, float) and value != value:
        return ".nan"
    if isinstance(value, (dict, list)):
        return "keys with values" if isinstance(value, dict) else "a list" if value else "an empty list"
    return str(value).replace("inf", ".inf")


def _remedy(kind: str, value: object) -> str:
    if kind == "float_type" and isinstance(value, str) and _is_number(value):
        exponent = "e" in value.lower() and "." not in value
        return f"; write {float(value)!r} without quotes" + (" and with a point" if exponent else "")
    if kind == "string_type" and isinstance(value, (int, float)):
        return "; put it in quotes"
    if kind == "tuple_type" and isinstance(value, (str, dict)):
        return "; put it in [ ] or behind a dash"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fields(model: type[BaseModel], location: Location) -> dict[str, FieldInfo]:
    """Return the fields of the model that stands at `location` inside `model`; empty where none does."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None:
            return {}
        if isinstance(part, str):
            field = current.model_fields.get(part)
            current = None if field is None else _inner_model(field.annotation)
    return {} if current is None else dict(current.model_fields)


def _inner_model(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation holds, itself or inside a tuple or a union."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
