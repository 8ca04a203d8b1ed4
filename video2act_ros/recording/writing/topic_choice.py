"""Which topics a bag gets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.recording.writing.jpeg_images import IMAGE, SUFFIX


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """Expressions that whole topic names are held against; with `jpeg` images are compressed for the bag."""

    topics: re.Pattern[str]
    exclude: re.Pattern[str]
    jpeg: bool

    @classmethod
    def of(cls, topics: str, exclude: str, *, jpeg: bool) -> TopicChoice:
        """Return the choice that two expressions make.

        Raises:
            ConfigurationError: one is no regular expression; names the parameter.
        """
        return cls(_pattern("topics", topics), _pattern("exclude", exclude), jpeg)

    def wants(self, name: str, type_name: str, names: frozenset[str]) -> bool:
        """Return whether to record a topic, given its type and the names of all topics.

        An image is left out where it would be compressed and a driver publishes it so already.
        """
        if not self.topics.fullmatch(name) or self.exclude.fullmatch(name):
            return False
        return not (self.jpeg and type_name == IMAGE and name + SUFFIX in names)


def _pattern(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigurationError(
            f"parameter '{name}' is no regular expression: '{text}' ({error})"
        ) from error
