"""`/replay`: the cameras and joint states of a bag on its own clock, for systems that run live. Moves no arm."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from video2act_msgs.msg import ActionChunk, Latents
from video2act_ros.core.config import ReplayConfig
from video2act_ros.core.errors import ConfigurationError, Video2ActError
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.whole_files import write_json
from video2act_ros.recording.playing.player import Player
from video2act_ros.recording.playing.replay_plan import ReplayPlan
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.reading.streams import RobotBag
from video2act_ros.ros import qos
from video2act_ros.ros.bundle_switch import SYSTEMS, bundle_status_topic
from video2act_ros.ros.environment import resolve_profile
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node
from video2act_ros.ros.replay_outputs import RECORDED, ReplayOutputs

LOOK_S = 0.5  # between two looks for others that publish the same; none plays before the first
_STOP_S = 1.0


class ReplayRefused(Video2ActError):
    """Nothing may be, or can be, replayed here now."""


class ReplayNode(ManagedNode):
    """A thread of its own publishes; the executor counts what the live nodes make of it."""

    CONFIG = ReplayConfig
    config: ReplayConfig

    def setup(self) -> None:
        """Open the bag and check that it is this robot's; publishers exist before the thread starts."""
        config = self.config
        if not config.bag:
            raise ConfigurationError("no bag to replay; give one with bag:=FOLDER")
        profile = load_robot_profile(resolve_profile(config.robot))
        self._open = ExitStack()
        bag = self._open.enter_context(open_bag(Path(config.bag).expanduser()))
        robot = RobotBag(bag, profile, config.recorded_namespace or None)
        self._bag = bag
        self._plan = ReplayPlan(
            robot, config.start_s, config.duration_s, tuple(RECORDED) if config.recorded else ()
        )
        self._outputs = ReplayOutputs(self, robot, self._plan)

    def start(self) -> None:
        """Wait for the systems in a thread, then play."""
        self._changed = threading.Condition()
        self._looked = 0
        self._up: set[str] = set()
        self._made = {"chunks": 0, "updates": 0}
        self._loops = 0
        self._failure: Exception | None = None
        self._exit_status: int | None = None
        self._player = Player(self._outputs, self.config.rate)
        self._count("chunks", ActionChunk, "action_chunk", qos.DATA)
        self._count("updates", Latents, "latents/spatial", qos.LATENTS)
        for system in SYSTEMS:
            self.subscribe(
                String, bundle_status_topic(system), partial(self._on_bundle_status, system), qos.LATCHED
            )
        self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._thread = threading.Thread(target=self._run, name="player")
        self._thread.start()

    def stop(self) -> None:
        """End the player's thread."""
        if not hasattr(self, "_thread"):
            return
        self._player.stop()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_STOP_S)

    def teardown(self) -> None:
        """Close the bag."""
        if hasattr(self, "_open"):
            self._open.close()

    @property
    def exit_status(self) -> int | None:
        """0 once the bag was played, 1 where it could not be."""
        return getattr(self, "_exit_status", None)

    def report(self) -> dict[str, Any]:
        """Return what was played and what the live nodes made of it; durations in seconds."""
        figures = self._player.figures()
        return {
            "bag": self.config.bag,
            **asdict(figures),
            "speed": figures.speed,
            "skipped": self._plan.skipped,
            "unsent": self._outputs.failures,
            "unusable": self._bag.skipped.told(self._bag.start_ns),
            "loops": self._loops,
            **self._made,
            "problem": None if self._failure is None else str(self._failure),
        }

    def collect_diagnostics(self) -> None:
        """Tell how far the replay is."""
        if self.state_name == "active":
            figures = self._player.figures()
            self.health.value("messages", sum(figures.messages.values()))
            self.health.value("delay_p99_s", figures.delay_p99_s)

    # -- the executor -------------------------------------------------------------------------------

    def _count(self, name: str, kind: type[Any], topic: str, profile: Any) -> None:
        def count(_message: bytes) -> None:
            self._made[name] += 1

        self.create_subscription(kind, topic, count, profile, raw=True)

    def _on_bundle_status(self, system: str, message: String) -> None:
        if BundleStatus.from_json(message.data).bundle_id:
            with self._changed:
                self._up.add(system)
                self._changed.notify_all()

    def _look(self) -> None:
        """Stop at once where others publish the same or could move an arm; wake up who waits."""
        intruders = self._outputs.intruders()
        with self._changed:
            if intruders and self._failure is None:
                self._failure = ReplayRefused(
                    f"{'; '.join(intruders)}: replay only where no robot runs, in another namespace or ROS_DOMAIN_ID"
                )
                self._player.stop()
            self._looked += 1
            self._changed.notify_all()

    # -- the player's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        status = 1
        try:
            self._wait_for_systems()
            self._play()
            status = int(self._failure is not None)
        except Exception as error:  # noqa: BLE001
            self._failure = error
        if self._failure is not None:
            self.report_problem("replay", self._failure)
        with self.reporting("report"):
            self._write_report()
        self._exit_status = status

    def _play(self) -> None:
        while not self._player.stopping:
            self._player.play(self._plan.events())
            self._loops += 1
            if not self.config.loop:
                break

    def _wait_for_systems(self) -> None:
        """Wait until somebody listens to everything, telling the time meanwhile."""
        deadline_s = time.monotonic() + max(self.config.wait_s, LOOK_S * 4)
        first_ns = self._plan.start_ns
        with self._changed:
            while not self._player.stopping and not (self._looked and self._is_ready()):
                if time.monotonic() > deadline_s:
                    raise ReplayRefused(self._missing())
                self._outputs.clock(first_ns)
                self._changed.wait(0.1)
        self._made = dict.fromkeys(self._made, 0)

    def _is_ready(self) -> bool:
        if not self.config.wait_s:
            return True
        return self._up == set(SYSTEMS) and self._outputs.is_heard()

    def _missing(self) -> str:
        silent = [system for system in SYSTEMS if system not in self._up] or ["the command node"]
        return (
            f"{', '.join(silent)} did not come up within {self.config.wait_s:g} s; see the logs, "
            "or set wait_s to 0 to replay without them"
        )

    def _write_report(self) -> None:
        if self.config.report:
            write_json(Path(self.config.report), self.report())


def main() -> int:
    """Run the node until the bag is at its end."""
    return run_node(ReplayNode)


if __name__ == "__main__":
    sys.exit(main())
