"""Without a bundle any profile's mock arm can be engaged: small safe chunks take the place of the policy's."""

from pathlib import Path

import numpy as np
import pytest
from mock_stack import MOVED, SafeStack

from video2act_ros.core.safe_source import SAFE_SOURCE_WORDS
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.sim.safe_motion import LARGEST

PROFILES = sorted((Path(__file__).parents[2] / "config" / "robots").glob("*.yaml"))


@pytest.fixture
def make_stack(make_node, spinner, context):
    return lambda path: SafeStack(make_node, spinner, context, path)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_joint_of_a_shipped_robot_moves_and_faults_can_be_tried(make_stack, path):
    """Engaged it moves a little around its start; it holds without a camera or joints, and stops when told."""
    stack = make_stack(path)
    operator = stack.operator
    operator.wait_for_state("shadow", SAFE_SOURCE_WORDS)
    assert operator.sent() == 0
    operator.engage()
    operator.wait_for_state("engaged", SAFE_SOURCE_WORDS)
    operator.wait_for(lambda: np.all(stack.travel() > MOVED), "motion of every joint")
    assert np.all(stack.travel() <= LARGEST + 1e-3)
    stack.silence(stack.profile.camera_names[0])
    operator.wait_for_state("holding", stack.profile.camera_names[0])
    assert SAFE_SOURCE_WORDS in operator.state.reason
    stack.silence("")
    operator.wait_for_state("engaged")
    stack.silence("joints")
    operator.wait_for_state("holding", "joint state too old")
    stack.silence("")
    operator.wait_for_state("engaged")
    assert operator.call("emergency_stop").success
    operator.wait_for_state("fault", SAFE_SOURCE_WORDS)
    assert operator.call("disengage").success
    operator.wait_for_state("shadow", SAFE_SOURCE_WORDS)


def test_the_arm_goes_back_to_its_start_pose(make_stack):
    """From where the safe motion was left; then it can be engaged again."""
    stack = make_stack(next(path for path in PROFILES if path.stem == "franka_fr3"))
    operator = stack.operator
    operator.engage()
    operator.wait_for(lambda: np.all(stack.travel() > MOVED), "motion")
    assert operator.call("disengage").success
    operator.wait_for_state("shadow")
    assert operator.call("move_to_start").success
    operator.wait_for_state("holding", "moving to the start pose")
    operator.wait_for_state("shadow", "at the start pose")
    operator.wait_for(lambda: np.all(stack.travel() < 1e-3), "the start pose")
    operator.engage()
    operator.wait_for_state("engaged")


def test_a_policy_that_takes_over_is_believed(make_stack, make_node, still_bundle_of):
    """What runs as System 1 tells so itself: the words go when a policy comes, in a new epoch."""
    stack = make_stack(next(path for path in PROFILES if path.stem == "franka_fr3"))
    operator = stack.operator
    operator.wait_for_state("shadow", SAFE_SOURCE_WORDS)
    epoch = operator.state.epoch
    bundle = str(still_bundle_of(stack.profile))
    stack.sources[0].bring_down()
    node = make_node(System1Node, robot=str(stack.path), bundle=bundle)
    assert node.came_up
    operator.wait_for(lambda: operator.state.epoch != epoch, "a new epoch")
    operator.wait_for(lambda: SAFE_SOURCE_WORDS not in operator.state.reason, "no word of the safe source")
