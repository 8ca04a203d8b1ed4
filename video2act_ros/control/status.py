"""What the control loop tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.control.run_state import Source
from video2act_ros.control.statistics import Distribution
from video2act_ros.control.timeline import Seam
from video2act_ros.control.watchdog import InputAges
from video2act_ros.core.types import NS_PER_S, ActionChunk, RunMode


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """What the RunState message tells; `version` changes with every mode, epoch or source."""

    mode: RunMode
    reason: str
    source: Source
    speed_scale: float
    emergency_stop: bool
    epoch: int
    epoch_stamp_ns: int
    episode: int
    episode_stamp_ns: int
    instruction: str
    version: int
    ages: InputAges
    execution_horizon_s: float
    sending: bool  # commands go to the arm
    warnings: tuple[str, ...]  # what would refuse to engage, though it stops nothing now


class SeamMetrics:
    """How well chunks followed each other: one distribution per figure of a `Seam`."""

    def __init__(self) -> None:
        self.distributions = {name: Distribution() for name in Seam.__slots__}

    def add(self, seam: Seam) -> None:
        """Count one splice."""
        for name, distribution in self.distributions.items():
            distribution.add(float(getattr(seam, name)))


class LoopMetrics:
    """What the loop measured while the policy drove the arm, since it was made."""

    def __init__(self) -> None:
        self.observation_age_s = Distribution()  # at every engaged tick
        self.latent_age_s = Distribution()  # at every engaged tick
        self.reaction_s = Distribution()  # observation stamp → first command that depends on it
        self.seams = SeamMetrics()
        self.chunks_accepted = 0
        self.chunks_refused = 0
        self._used_stamp_ns: int | None = None  # newest chunk that a command depends on

    def drive(self, now_ns: int, newest: ActionChunk | None) -> None:
        """Count one tick in which the policy drove, with `newest` in use."""
        if newest is None:
            return
        self.observation_age_s.add((now_ns - newest.stamp_ns) / NS_PER_S)
        if newest.latent_stamp_ns:
            self.latent_age_s.add((now_ns - newest.latent_stamp_ns) / NS_PER_S)
        if newest.stamp_ns != self._used_stamp_ns:
            self._used_stamp_ns = newest.stamp_ns
            self.reaction_s.add((now_ns - newest.stamp_ns) / NS_PER_S)
