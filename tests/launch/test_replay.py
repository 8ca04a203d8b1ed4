"""`replay.launch.py` plays a bag through the live nodes and ends with it."""

import json

import pytest

pytest.importorskip("ros2launch", reason="launch packages come with a ROS 2 installation only")

from made_bags import whole_run


@pytest.mark.slow
def test_the_launch_ends_with_the_bag(launched, robot, bundle, tmp_path):
    """Status 0 once it was played, with the figures of what the live nodes made of it; every node ends in order."""
    bag = whole_run(4.0).write(tmp_path / "bag")
    report = tmp_path / "report.json"
    arguments = {
        "robot": robot,
        "system1_bundle": bundle,
        "system2_bundle": bundle,
        "bag": bag,
        "report": report,
        "record": tmp_path / "again",
    }
    launch = launched("video2act_ros", "replay.launch.py", *(f"{k}:={v}" for k, v in arguments.items()))
    launch.wait_for("the bag plays")
    launch.wait_for("process[replay_node-4] was required")
    assert launch.ended() == 0, launch.output
    figures = json.loads(report.read_text())
    assert figures["problem"] is None
    assert figures["chunks"] > 0
    assert sum("process has finished cleanly" in line for line in launch.lines) == 5, launch.output
    assert (tmp_path / "again" / "metadata.yaml").is_file()
