"""What schemas of YAML files are made of: numbers that are numbers, texts that are not empty, frozen parts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Rate = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1000)]  # Hz
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Flag = Annotated[bool, Field(strict=True)]
LONGEST_LAG_S = 1.0  # no servo is so late, and the mock driver remembers commands for as long


def _lag(value: Any) -> Any:
    for name, lag_s in value.items() if isinstance(value, dict) else [("", value)]:
        number = isinstance(lag_s, (int, float)) and not isinstance(lag_s, bool)
        if not (number and 0 <= lag_s <= LONGEST_LAG_S):
            about = f" of '{name}'" if name else ""
            raise ValueError(
                f"the lag{about} must be a number from 0 to {LONGEST_LAG_S:g} s, such as 0.03; got {lag_s!r}"
            )
    return value


Lag = Annotated[float | dict[str, float], PlainValidator(_lag)]
"""Of every joint, or joint by joint, in s."""


class Frozen(BaseModel):
    """Part of a schema: cannot be changed, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
