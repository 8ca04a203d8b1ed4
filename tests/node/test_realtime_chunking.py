"""System 1 continues the motion that the command node tells it of."""

import numpy as np

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.convert_policy import InputAges, chunk_from_message, message_from_chunk

NAMES = ("shoulder", "elbow", "gripper")
STEP_S = 0.05


def path(time_ns):
    """Return where the arm is sent at `time_ns`: (3,)."""
    return np.array([0.3, -0.2, 0.5]) * np.sin(time_ns % (100 * NS_PER_S) / NS_PER_S)


def plan_at(now_ns, epoch):
    stamp_ns = now_ns - seconds_to_ns(0.5)
    rows = np.array([path(stamp_ns + index * seconds_to_ns(STEP_S)) for index in range(100)])
    return ActionChunk(stamp_ns, 0, epoch, STEP_S, NAMES, rows, committed=11, prefix=rows[:11])


def test_a_chunk_repeats_what_is_sent_during_its_inference(make_node, world, bundle, robot):
    """Frozen actions are the plan's, to 1e-5, and travel in the message; a plan of an older epoch freezes nothing."""
    common = {"bundle": str(bundle), "robot": str(robot), "diagnostics_period_s": 0.1, "rate_hz": 10.0}
    make_node(System2Node, **common)
    make_node(System1Node, realtime_chunking=True, **common)
    publisher = world.create_publisher(ActionChunkMessage, "planned_actions", qos.DATA)
    plan_epoch = [7]

    def publish():
        plan = plan_at(world.get_clock().now().nanoseconds, plan_epoch[0])
        publisher.publish(message_from_chunk(plan, InputAges()))

    world.create_timer(0.05, publish)
    world.run_state(epoch=7)
    world.wait_for(lambda: any(m.committed for m in world.received["chunk"]), "a chunk with frozen actions")
    chunk = chunk_from_message(next(m for m in world.received["chunk"] if m.committed))
    assert chunk.epoch == 7
    due = np.array([path(chunk.stamp_ns + index * chunk.step_ns) for index in range(chunk.committed)])
    np.testing.assert_allclose(chunk.prefix, due, atol=1e-4)  # the plan's rows lie between the chunk's
    np.testing.assert_allclose(chunk.positions[: chunk.committed], chunk.prefix, rtol=0, atol=1e-5)
    world.run_state(epoch=8)
    world.wait_for(
        lambda: sum(m.epoch == 8 for m in world.received["chunk"]) >= 3, "three chunks of the next epoch"
    )
    assert not any(m.committed for m in world.received["chunk"] if m.epoch == 8)
