"""Runs a replay without `ros2 launch`: starts its stack, waits for the bag's end, returns the figures."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from video2act_ros.core.errors import Video2ActError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.recording.playing.replay_plan import ReplayPlan
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.reading.streams import RobotBag
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import REPLAY, REPLAY_NODE


class ReplayFailed(Video2ActError):
    """The bag was not replayed to its end."""


def run_replay(arguments: Mapping[str, str], report: Path, logs: Path) -> dict[str, Any]:
    """Replay a bag through the live nodes until its end, SIGINT or SIGTERM; return what is in `report`.

    Args:
        arguments: launch arguments of the replay stack; `bag`, `robot`, `start` and `duration` among them.
        report: JSON file that the replay node writes.
        logs: where the nodes' logs go.

    Raises:
        BagError: the bag is none, or not of this robot; before anything starts.
        ReplayFailed: the bag cannot be replayed, or a node ended.
    """
    environment.prepare()
    _check(arguments)
    report.unlink(missing_ok=True)
    stopping, changed = threading.Event(), threading.Condition()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with StackRunner(REPLAY, {**arguments, "report": str(report)}, logs) as runner:
            runner.watch(changed)
            failure = None
            while failure is None and not stopping.is_set() and not _has_ended(runner):
                with changed:
                    changed.wait(0.2)
                failure = None if _has_ended(runner) else runner.failed()
            status = runner.statuses()[REPLAY_NODE.executable]
            failure = failure or (runner.failed() if status else None)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return _figures(report, failure)


def _check(arguments: Mapping[str, str]) -> None:
    """Raise what is wrong with the bag; the replay node would say the same in its log."""
    profile = load_robot_profile(environment.resolve_profile(arguments["robot"]))
    with open_bag(Path(arguments["bag"])) as bag:
        robot = RobotBag(bag, profile, arguments.get("recorded_namespace"))
        ReplayPlan(robot, float(arguments["start"]), float(arguments["duration"]))


def _has_ended(runner: StackRunner) -> bool:
    return runner.statuses()[REPLAY_NODE.executable] is not None


def _figures(report: Path, failure: str | None) -> dict[str, Any]:
    content = json.loads(report.read_text()) if report.is_file() else {}
    if content.get("problem"):
        raise ReplayFailed(content["problem"])
    if failure is not None:
        raise ReplayFailed(failure)
    if not content:
        raise ReplayFailed("the replay was stopped before it began")
    return dict(content)
