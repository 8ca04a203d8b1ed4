"""What one system sees of its own inputs, checked where they arrive; it travels as an InputHealth message."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from video2act_ros.core.errors import InputError

REPORT_PERIOD_S = 0.05
"""Time between two reports of one system."""


class InputCheck(str, Enum):
    """What is checked; the names are the message's."""

    IMAGE_AGE = "image_age"  # now - capture stamp of the camera's newest image
    IMAGE_FROZEN = "image_frozen"  # for how long the image has not changed while joints moved
    IMAGE_DARK = "image_dark"  # for how long the image has carried no content
    IMAGE_FORMAT = "image_format"  # for how long images have had another size or encoding than before
    FRAME_GAP = "frame_gap"  # largest gap between two frames of System 2's history
    CLOCK_AHEAD = "clock_ahead"  # how far the system's clock is certainly ahead of the command node's
    CLOCK_BEHIND = "clock_behind"  # how far it is certainly behind

    @property
    def threshold(self) -> str:
        """The threshold of the robot profile that grades it."""
        return (
            "clock_offset_s"
            if self in (InputCheck.CLOCK_AHEAD, InputCheck.CLOCK_BEHIND)
            else f"{self.value}_s"
        )


@dataclass(frozen=True, slots=True)
class InputValue:
    """One check of one camera, or of none (empty); `value_s` is None while nothing has arrived."""

    check: InputCheck
    camera: str
    value_s: float | None

    def __post_init__(self) -> None:
        if self.value_s is not None and not math.isfinite(self.value_s):
            about = f" of {self.camera}" if self.camera else ""
            raise InputError(f"{self.check.value}{about} must be finite, got {self.value_s}")


@dataclass(frozen=True, slots=True)
class InputReport:
    """Every check of one system (system1 or system2), made at `stamp_ns`."""

    stamp_ns: int
    system: str
    values: tuple[InputValue, ...]
