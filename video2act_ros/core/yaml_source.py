"""YAML that remembers in which line each value stands, so that a refusal can point there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

import yaml

Location = tuple[Union[str, int], ...]
"""Where a value stands in the document: keys and list indices from its root on."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*|[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?)")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)  # refused where they stand, as no finite numbers
_MERGE = "<<"


class _Loader(yaml.SafeLoader):
    """Plain values only; what looks like a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in a YAML document: where, what, and what to write instead."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A YAML document's content and where everything in it stands.

    `content` is None where the document could not be read; `mistakes` then says why. A key that stands twice
    is a mistake, too: YAML itself keeps the last one without a word. So is a number in another than the decimal form:
    YAML 1.1, by which files are read, takes 0300 for 192 and 5:00 for 300.
    """

    path: Path
    content: Any = None
    lines: Mapping[Location, int] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()

    @classmethod
    def read(cls, path: Path) -> YamlSource:
        """Read a file; what keeps it from being read becomes a mistake.

        Raises:
            OSError: the file cannot be opened.
        """
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            what = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file in UTF-8"
            return cls(path, lines={(): line}, mistakes=(Mistake((), what),))
        return cls.parse(path, text)

    @classmethod
    def parse(cls, path: Path, text: str) -> YamlSource:
        """Parse `text`, of which `path` is the name in messages."""
        loader = None
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            if node is None:
                return cls(path, lines={(): 1}, mistakes=(Mistake((), "the file is empty"),))
            lines: dict[Location, int] = {}
            mistakes = tuple(_walk(node, (), lines, ()))
            return cls(path, loader.construct_document(node), lines, mistakes)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = 1 if mark is None else min(mark.line + 1, text.count("\n") + 1)
            what = f"not valid YAML: {_words(error)}"
            return cls(path, lines={(): line}, mistakes=(Mistake((), what),))
        except (
            yaml.YAMLError,
            ValueError,
            RecursionError,
        ) as error:  # unprintable, against its tag, too deep
            what = f"not valid YAML: {str(error).splitlines()[0]}"
            position = getattr(error, "position", 0)
            return cls(path, lines={(): text.count("\n", 0, position) + 1}, mistakes=(Mistake((), what),))
        finally:
            if loader is not None:
                loader.dispose()

    def line(self, location: Location) -> int:
        """Return the line of a value, or of the innermost thing around it that exists."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def value(self, location: Location) -> Any:
        """Return what stands at a location; None where nothing does."""
        value = self.content
        for part in location:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def describe(self, mistakes: Iterable[Mistake]) -> tuple[str, ...]:
        """Return one line `file:line: key: text` per mistake, in the file's order, each once."""
        found = sorted({(self.line(item.location), path_text(item.location), item.text) for item in mistakes})
        return tuple(
            f"{self.path}:{line}: {key}: {text}" if key else f"{self.path}:{line}: {text}"
            for line, key, text in found
        )


def path_text(location: Location) -> str:
    """Return a location as people write it: `joints[0].start`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _walk(
    node: yaml.Node, location: Location, lines: dict[Location, int], above: tuple[int, ...]
) -> Iterator[Mistake]:
    """Note the line of everything below `node`; yield keys that stand twice, and numbers that mean something else."""
    lines.setdefault(location, node.start_mark.line + 1)
    if id(node) in above:
        problem = "an anchor contains itself; write the values out"
        raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and (text := _other_number(node)):
        yield Mistake(location, text)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*location, index), lines, (*above, id(node)))
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key == _MERGE:
                continue
            inner = (*location, key)
            if key in first:
                yield Mistake(inner, f"stands here again, first in line {first[key]}; keep one of the two")
            first.setdefault(key, line)
            lines[inner] = line
            yield from _walk(value_node, inner, lines, (*above, id(node)))


def _other_number(node: yaml.ScalarNode) -> str:
    """Return what a number means that is not written as a decimal one, and the remedy; empty where it is."""
    written = str(node.value)
    if _DECIMAL.fullmatch(written) or _NO_NUMBER.fullmatch(written):
        return ""
    try:
        value = yaml.safe_load(written)
    except (yaml.YAMLError, ValueError):
        return f"{written} is no number; write a decimal one, or put it in quotes where it is text"
    plain = written.replace("_", "").lstrip("+-0") or "0"
    decimal = f" or {plain}" if plain.isdigit() and int(plain) != abs(value) else ""
    return (
        f"{written} means {value} in YAML 1.1; write {value}{decimal}, or put it in quotes where it is text"
    )


def _words(error: yaml.MarkedYAMLError) -> str:
    """Return what the parser says, with what a frequent slip needs."""
    problem = error.problem or ""
    text = f"{error.context}, {problem}" if problem.startswith("but") else problem or str(error.context)
    return f"{text}; indent with spaces, not tabs" if repr("\t") in text else text
