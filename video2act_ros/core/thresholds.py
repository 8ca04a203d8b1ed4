"""Thresholds of a robot profile: from which value on an input slows or stops the arm."""

from __future__ import annotations

import math
from enum import IntEnum

from pydantic import Field, model_validator

from video2act_ros.core.schema import Frozen, Positive


class Outcome(IntEnum):
    """What a violated threshold does to the arm, mildest first."""

    SLOW = 1  # execute chunks more slowly
    HOLD = 2  # decelerate and hold until the input is good again
    FAULT = 3  # decelerate and hold until engaged anew


class Threshold(Frozen):
    """From which value on each outcome applies; None: never. A plain number in YAML means `hold`."""

    slow: Positive | None = None
    hold: Positive | None = None
    fault: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        if isinstance(value, (str, bool, type(None), list)):
            raise ValueError("must be a number or {slow: …, hold: …, fault: …}, such as 0.5 or {hold: 0.5}")
        return {"hold": value} if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _check(self) -> Threshold:
        limits = [limit for limit in (self.slow, self.hold, self.fault) if limit is not None]
        if not limits:
            raise ValueError("give at least one of slow, hold and fault, such as {hold: 0.5}")
        if limits != sorted(limits):
            given = ", ".join(f"{limit:g}" for limit in limits)
            raise ValueError(f"slow, hold and fault must stand in rising order; got {given}")
        return self

    @property
    def stop(self) -> float:
        """The smallest value that stops the arm; infinite where none does."""
        return min((limit for limit in (self.hold, self.fault) if limit is not None), default=math.inf)

    def outcome(self, value: float) -> Outcome | None:
        """Return the gravest outcome that `value` has, or None."""
        graded = ((Outcome.FAULT, self.fault), (Outcome.HOLD, self.hold), (Outcome.SLOW, self.slow))
        return next((outcome for outcome, limit in graded if limit is not None and value > limit), None)


class Thresholds(Frozen):
    """What is watched, and when it slows or stops the arm."""

    joint_state_age_s: Threshold = Field(description="newest joint state", examples=[0.2])
    chunk_age_s: Threshold = Field(description="counted from its observation", examples=[1.0])
    latent_age_s: Threshold = Field(description="from the newest frame of their window", examples=[2.0])
    image_age_s: Threshold = Field(description="of every camera of the profile", examples=[0.5])
    image_frozen_s: Threshold = Field(description="unchanged while joints move", examples=[0.5])
    image_dark_s: Threshold = Field(description="without content", examples=[0.3])
    frame_gap_s: Threshold = Field(description="between two frames of System 2's history", examples=[1.0])
    tracking_error_rad: Threshold = Field(
        description="between command and measured arm joints", examples=["{hold: 0.2, fault: 0.5}"]
    )
    second_publisher_s: Threshold = Field(
        description="somebody else publishes commands", examples=["{fault: 0.1}"]
    )
    second_input_publisher_s: Threshold = Field(
        Threshold(hold=0.1),
        description="somebody else publishes inputs: joints, images, chunks",
        examples=[0.1],
    )
    joint_jump_s: Threshold = Field(
        Threshold(hold=0.05, fault=0.5),
        description="measured joints jump, or are where they cannot be",
        examples=["{hold: 0.05, fault: 0.5}"],
    )
    joint_frozen_s: Threshold = Field(
        Threshold(hold=0.3), description="a measured value stays while a command left it", examples=[0.3]
    )
    image_format_s: Threshold = Field(
        Threshold(hold=0.3), description="images of another size or encoding than before", examples=[0.3]
    )
    clock_offset_s: Threshold = Field(
        Threshold(hold=0.05), description="of a system's clock from the command node's", examples=[0.05]
    )
    camera_skew_s: Positive = Field(
        description="largest difference of capture times within one set of images", examples=[0.05]
    )
