"""What the control loop tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.control.statistics import Distribution
from video2act_ros.control.watchdog import InputAges
from video2act_ros.core.types import RunMode


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """What the RunState message tells; `version` changes with every mode or epoch."""

    mode: RunMode
    reason: str
    epoch: int
    epoch_stamp_ns: int
    episode: int
    episode_stamp_ns: int
    instruction: str
    version: int
    ages: InputAges
    execution_horizon_s: float
    sending: bool  # commands go to the arm


class LoopMetrics:
    """What the loop measured while it drove the arm, since it was made."""

    def __init__(self) -> None:
        self.observation_age_s = Distribution()  # at every engaged tick
        self.latent_age_s = Distribution()  # at every engaged tick
        self.reaction_s = Distribution()  # observation stamp → first command that depends on it
        self.chunks_accepted = 0
        self.chunks_refused = 0
