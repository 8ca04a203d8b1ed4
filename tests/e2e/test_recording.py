"""The whole stack with its recorder: the bag holds what replay needs, and losing the recorder costs only that."""

import os
import signal

import pytest
from domains import new_domain
from rosbags.highlevel import AnyReader

from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.recording.writing.bag_repair import repair_bag
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM

STARTUP_S = 120.0
STEP_S = 30.0


@pytest.mark.slow
def test_a_killed_recorder_leaves_a_bag_and_a_running_stack(tmp_path, monkeypatch):
    """Chunks go on; the repaired bag holds the inputs of the chunks in it, commands' topics and all parameters."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(new_domain()))
    environment.prepare()
    bag = tmp_path / "bag"
    options = DemoOptions(
        "lift", 1, 0, tmp_path / "r.json", None, "aloha_lift", "aloha_sim", "", tmp_path, 0.0
    )
    arguments = {"instruction": "lift the red cube with the right arm", "record": str(bag)}
    with StackRunner(SIM, arguments, tmp_path / "logs") as runner, spinning_node(options) as node:
        runner.watch(node.changed)
        node.wait_for(lambda: node.chunks >= 16 or runner.failed(), STARTUP_S, "System 1's first chunks")
        assert runner.failed() is None
        os.kill(runner.pid("recorder_node"), signal.SIGKILL)
        node.wait_for(lambda: "recorder_node" not in runner.running(), STEP_S, "the recorder's end")
        chunks = node.chunks
        node.wait_for(lambda: node.chunks >= chunks + 3, STEP_S, "more chunks")
        assert runner.failed() is None
    repair_bag(bag)
    found = read(bag)
    chunks = found["/action_chunk"]
    assert len(chunks) >= 3
    assert {"/system1", "/system2", "/command", "/sim_robot"} <= {
        event.node for event in found["/parameter_events"] if len(event.new_parameters) > 3
    }
    stamps = {stamp(image.header) for image in found["/cam_high/image_raw"]}
    latents = {message.sequence for message in found["/latents/motion"]}
    whole = [
        chunk for chunk in chunks if chunk.latent_sequence >= min(latents) and seen(chunk) >= min(stamps)
    ]
    assert len(whole) >= 3  # the others were made of what came before the recorder listened
    for chunk in whole:
        assert seen(chunk) in stamps
        assert chunk.latent_sequence in latents


def seen(chunk):
    return chunk.image_stamps[0].sec, chunk.image_stamps[0].nanosec


def stamp(header):
    return header.stamp.sec, header.stamp.nanosec


def read(bag):
    found = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append(message)
    return found
