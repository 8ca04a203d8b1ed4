"""What one system sees of its own inputs, checked where they arrive; it travels as an InputHealth message."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from video2act_ros.core.errors import InputError


class InputCheck(str, Enum):
    """What is checked; the names are the message's, and with `_s` the robot profile's thresholds."""

    IMAGE_AGE = "image_age"  # now - capture stamp of the camera's newest image
    IMAGE_FROZEN = "image_frozen"  # for how long the image has not changed while joints moved
    IMAGE_DARK = "image_dark"  # for how long the image has carried no content
    FRAME_GAP = "frame_gap"  # largest gap between two frames of System 2's history


@dataclass(frozen=True, slots=True)
class InputValue:
    """One check of one camera; `value_s` is None while nothing has arrived."""

    check: InputCheck
    camera: str
    value_s: float | None

    def __post_init__(self) -> None:
        if self.value_s is not None and not math.isfinite(self.value_s):
            raise InputError(f"{self.check.value} of {self.camera} must be finite, got {self.value_s}")


@dataclass(frozen=True, slots=True)
class InputReport:
    """Every check of one system (system1 or system2), made at `stamp_ns`."""

    stamp_ns: int
    system: str
    values: tuple[InputValue, ...]
