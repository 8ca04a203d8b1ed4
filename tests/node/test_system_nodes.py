"""`/system2` and `/system1` as real nodes, with a robot and a command node that only publish."""

import shutil

import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState

from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import model_node
from video2act_ros.ros.convert import ns_to_stamp, stamp_to_ns
from video2act_ros.ros.convert_policy import chunk_from_message, latents_from_message


def test_images_become_latents_and_latents_become_chunks(systems, world):
    """The whole way from cameras to chunks, with every stamp, identity and age carried along."""
    assert all(node.came_up for node in systems)
    world.run_state(epoch=7)
    world.wait_for(lambda: world.received["chunk"] and world.newest("chunk").epoch == 7, "a chunk of epoch 7")
    chunk = chunk_from_message(world.newest("chunk"))
    message = next(m for m in world.received["spatial"] if m.sequence == chunk.latent_sequence)
    latents = latents_from_message(message)
    assert latents.tokens.shape == (4, 24)
    assert latents.stamp_ns == chunk.latent_stamp_ns
    assert latents.epoch == 7
    assert latents.features_id == chunk.features_id
    assert len(latents.frame_stamps_ns) == 5
    assert latents.frame_stamps_ns[-1] == latents.stamp_ns
    assert chunk.positions.shape == (8, 3)
    assert chunk.joint_names == ("shoulder", "elbow", "gripper")
    assert chunk.stamp_ns >= world.epoch_stamp_ns
    assert len(chunk.image_stamps_ns) == 2
    assert chunk.instruction == "lift the cube"
    assert min(world.newest("chunk").image_ages) >= 0.0
    assert world.newest("chunk").latent_age > 0.0


def test_both_streams_share_stamp_and_sequence(systems, world):
    """One update is one moment on both topics."""
    world.wait_for_more("motion", 3)
    spatial = {m.sequence: stamp_to_ns(m.header.stamp) for m in world.received["spatial"]}
    motion = {m.sequence: stamp_to_ns(m.header.stamp) for m in world.received["motion"]}
    shared = set(spatial) & set(motion)
    assert shared
    assert all(spatial[sequence] == motion[sequence] for sequence in shared)


def test_a_new_episode_forgets_the_frames_before_it(systems, world):
    """No window reaches back into the episode before; the first frame is repeated instead."""
    world.wait_for_more("spatial", 5)
    world.run_state(epoch=2, episode=2)
    world.wait_for(
        lambda: world.received["spatial"] and world.newest("spatial").epoch == 2, "latents of the new episode"
    )
    first = next(m for m in world.received["spatial"] if m.epoch == 2)
    assert min(stamp_to_ns(stamp) for stamp in first.frame_stamps) >= world.epoch_stamp_ns


def test_the_run_states_instruction_is_followed(systems, world):
    """What the command node grants holds for both systems; the parameter only asks for it."""
    world.run_state(epoch=1)
    world.wait_for_more("chunk")
    assert world.newest("known").data.splitlines() == ["lift the cube", "drop the cube"]
    result = systems[1].set_parameters([Parameter("instruction", value="drop the cube")])[0]
    assert result.successful
    world.wait_for(lambda: world.received["wish"], "the wish")
    assert world.newest("wish").data == "drop the cube"
    world.run_state(epoch=2, instruction="drop the cube")
    world.wait_for(
        lambda: world.received["chunk"] and world.newest("chunk").epoch == 2, "a chunk of the new epoch"
    )
    assert world.newest("chunk").instruction == "drop the cube"


def test_an_unknown_instruction_is_refused_and_the_known_ones_listed(systems, world):
    """By the parameter callback, and as a problem when the run state demands it: no chunk is made."""
    result = systems[1].set_parameters([Parameter("instruction", value="dance")])[0]
    assert not result.successful
    assert "lift the cube; drop the cube" in result.reason
    world.run_state(epoch=3, instruction="dance")
    world.wait_for_problem("/system1", "unknown instruction 'dance'")
    world.wait_for_problem("/system2", "unknown instruction 'dance'")
    assert all(message.epoch != 3 for message in world.received["chunk"])


def test_latents_of_other_features_are_not_used(make_node, world, bundle, other_bundle, robot):
    """A System 2 that the policy was not trained with is refused with the remedy."""
    make_node(System2Node, bundle=str(other_bundle), robot=str(robot), rate_hz=10.0)
    make_node(System1Node, bundle=str(bundle), robot=str(robot), diagnostics_period_s=0.1)
    world.wait_for_problem("/system1", "give both nodes one bundle pair")
    assert world.received["chunk"] == []


def test_a_stopped_camera_stops_the_chunks_and_is_named(systems, world):
    """Old images are never used again; /diagnostics names the camera."""
    world.wait_for_more("chunk")
    world.publishing.remove("cam_wrist")
    world.wait_for_problem("/system1", "no image of cam_wrist for")
    stamps = [stamp_to_ns(m.header.stamp) for m in world.received["chunk"]]
    assert len(set(stamps)) == len(stamps)
    count = len(stamps)
    world.wait_for_more("spatial", 5)
    assert len(world.received["chunk"]) == count


def test_without_system_2_no_chunk_is_made(make_node, world, bundle, robot):
    """System 1 waits for latents and says so."""
    make_node(System1Node, bundle=str(bundle), robot=str(robot), diagnostics_period_s=0.1)
    world.wait_for_problem("/system1", "no latents yet; check that System 2 is active")
    assert world.received["chunk"] == []


def test_an_unsupported_encoding_is_named(systems, world):
    """The message lists the supported encodings; the node stays up."""
    world.encoding = "16UC1"
    world.wait_for_problem("/system2", "rgb8, bgr8, rgba8, bgra8, mono8")
    assert systems[0].state_name == "active"
    world.encoding = "rgb8"
    world.wait_for_more("spatial", 2)


def test_nan_joint_states_are_named_and_stop_the_chunks(systems, world):
    """A broken encoder is named; joints older than the threshold make no chunk."""
    world.wait_for_more("chunk")
    world.publishing.remove("joints")
    broken = JointState(name=["elbow", "shoulder"], position=[float("nan"), 0.0])
    broken.header.stamp = ns_to_stamp(world.get_clock().now().nanoseconds)
    world.create_timer(0.1, lambda: world.arm.publish(broken))
    world.wait_for_problem("/system1", "NaN or infinite positions for elbow")
    world.wait_for_problem("/system1", "thresholds.joint_state_age_s")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "unknown bundle"),
        ("truncated", "copy"),
        ("joints", "only the bundle has elbow; only the profile has knee"),
        ("camera", "looks at cam_wrist"),
        ("profile", "unknown robot profile"),
        ("instruction", "unknown instruction 'dance'"),
    ],
)
def test_what_does_not_fit_is_refused_at_configuration(
    make_node, world, bundle, robot, tmp_path, change, words
):
    """The node stays up unconfigured and one message says why, naming the choices or the remedy."""
    parameters = {"bundle": str(bundle), "robot": str(robot), "instruction": "", "diagnostics_period_s": 0.1}
    if change == "missing":
        parameters["bundle"] = "aloha_dance"
    elif change == "truncated":
        copy = shutil.copytree(bundle, tmp_path / "tiny")
        weights = copy / "system1.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        parameters["bundle"] = str(copy)
    elif change == "joints":
        robot.write_text(robot.read_text().replace("elbow", "knee"))
    elif change == "camera":
        robot.write_text(robot.read_text().replace("name: cam_wrist", "name: cam_left"))
    elif change == "profile":
        parameters["robot"] = "unicorn"
    else:
        parameters["instruction"] = "dance"
    node = make_node(System1Node, **parameters)
    assert not node.came_up
    assert node.state_name == "unconfigured"
    world.wait_for_problem("/system1", words)


def test_the_nodes_stop_and_start_again(systems, world):
    """Deactivation ends the work, activation begins anew, cleanup releases the model."""
    world.wait_for_more("chunk")
    for node in systems:
        node.trigger_deactivate()
        assert node.state_name == "inactive"
    for node in systems:
        node.trigger_cleanup()
        node.trigger_configure()
        node.trigger_activate()
        assert node.state_name == "active"
    world.wait_for_more("chunk", 2)


def test_both_systems_tell_that_the_command_node_fell_silent(systems, world):
    """A dead command node is told by its neighbours; when it is back, no more."""
    world.run_state(1)
    world.publishing.discard("run_state")
    for node in ("/system1", "/system2"):
        world.wait_for_problem(node, "no run state for")
    world.publishing.add("run_state")

    def told_no_more():
        return not any("no run state" in world.problems[node] for node in ("/system1", "/system2"))

    world.wait_for(told_no_more, "the run state to be heard again")


def test_a_process_that_never_hears_the_command_node_ends_to_be_started_again(systems, world, monkeypatch):
    """Only while the command node is there, and only where nothing of it ever arrived."""
    monkeypatch.setattr(model_node, "_DEAF_S", 0.3)
    world.wait_for(lambda: all(node.exit_status == 1 for node in systems), "the end of both")
    world.run_state(1)
    world.wait_for(lambda: all(node.exit_status is None for node in systems), "the first run state")
    world.publishing.discard("run_state")
    for node in ("/system1", "/system2"):
        world.wait_for_problem(node, "no run state for")
    assert all(node.exit_status is None for node in systems)


def test_a_process_without_a_command_node_waits_for_it(systems, world, monkeypatch):
    """A machine that starts before the robot does is not deaf."""
    world.destroy_publisher(world.state)
    monkeypatch.setattr(model_node, "_DEAF_S", 0.5)
    for node in ("/system1", "/system2"):
        world.wait_for_problem(node, "no run state for")
    assert all(node.exit_status is None for node in systems)
