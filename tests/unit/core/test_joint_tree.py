"""Order, side and gripper of joints come from how they hang together, and from names where that tells nothing."""

import pytest

from video2act_ros.core.joint_tree import JointTree, TreeJoint
from video2act_ros.core.name_words import parts, side_of

HAND = (
    ("left_carriage_joint", "hand", "left_jaw", "prismatic", ""),
    ("right_carriage_joint", "hand", "right_jaw", "prismatic", "left_carriage_joint"),
)


def chain(*joints):
    return JointTree(TreeJoint(*joint) for joint in joints)


def bimanual():
    """Two arms of a joint each, every one with a hand whose jaws are called left and right."""
    joints = []
    for side in ("follower_left", "follower_right"):
        joints.append((f"{side}_mount", "base", f"{side}_base", "fixed"))
        joints.append((f"{side}_joint_0", f"{side}_base", f"{side}_hand", "revolute"))
        for name, parent, child, kind, follows in HAND:
            followed = f"{side}_{follows}" if follows else ""
            joints.append((f"{side}_{name}", f"{side}_{parent}", f"{side}_{child}", kind, followed))
    return chain(*joints)


def test_a_jaw_belongs_to_the_arm_that_it_hangs_on():
    """The left jaw of the right hand is on the right."""
    tree = bimanual()
    assert tree.side("follower_right_left_carriage_joint") == "right"
    assert tree.side("follower_left_right_carriage_joint") == "left"
    assert tree.side("follower_left_joint_0") == "left"


@pytest.mark.parametrize(
    ("name", "known", "side"),
    [
        ("follower_right_left_carriage_joint", ["follower_left_left_carriage_joint"], "right"),
        ("r_gripper_l_finger_joint", ["l_gripper_l_finger_joint"], "right"),
        ("LARM_JOINT0", ["RARM_JOINT0"], "left"),
        ("LeftShoulderPitch", [], "left"),
        ("joint_2_l", ["joint_1_s", "joint_3_u", "joint_4_r"], ""),  # letters of an arm's axes
        ("FL_hip_joint", ["FR_hip_joint"], ""),
        ("elbow", ["wrist"], ""),
    ],
)
def test_a_name_alone_tells_the_side_by_its_first_word_that_has_a_mirrored_one(name, known, side):
    """A single letter counts only where the other side's name exists."""
    assert side_of([name], [name, *known]) == side


def test_names_are_taken_apart_at_signs_cases_and_digits():
    """As people write them."""
    assert parts("/leftArm_2/RGBImage") == ("left", "arm", "2", "rgb", "image")


def test_joints_come_from_the_root_outwards_whatever_the_order_of_the_file():
    """The file begins with the gripper; a branch is finished before the next one begins."""
    tree = chain(
        ("gripper", "wrist", "jaw", "revolute"),
        ("elbow", "upper", "wrist", "revolute"),
        ("head", "base", "face", "revolute"),
        ("shoulder", "base", "upper", "revolute"),
    )
    assert tree.order == ("head", "shoulder", "elbow", "gripper")
    assert [joint.name for joint in tree.below("shoulder")] == ["elbow", "gripper"]
    assert tree.path("elbow") == ("base", "shoulder", "upper", "elbow", "wrist")


@pytest.mark.parametrize(
    "joints",
    [
        [("a", "x", "y", "revolute"), ("b", "y", "x", "revolute")],
        [("a", "x", "x", "revolute"), ("b", "x", "y", "revolute")],
        [("a", "", "", "revolute"), ("b", "", "", "revolute")],
        [("a", "x", "z", "revolute"), ("b", "y", "z", "revolute")],
    ],
    ids=["ring", "itself", "no links", "two parents"],
)
def test_links_that_make_no_tree_end_nowhere(joints):
    """Every joint is there once, and nothing hangs."""
    tree = chain(*joints)
    assert sorted(tree.order) == ["a", "b"]
    assert all(tree.path(name)[-2:].count(name) <= 1 for name in "ab")
    assert [tree.side(name) for name in "ab"] == ["", ""]


@pytest.mark.parametrize(
    ("name", "joints", "expected"),
    [
        ("finger", [("arm", "a", "b", "revolute"), ("finger", "b", "c", "revolute")], True),
        ("6", [("6", "b", "moving_jaw", "revolute")], True),
        ("wrist_roll", [("wrist_roll", "a", "gripper_link", "revolute")], False),
        ("gripper_roll", [("gripper_roll", "a", "b", "revolute"), ("jaw", "b", "c", "revolute")], False),
        ("hand_pan", [("hand_pan", "a", "b", "revolute"), ("wrist", "b", "c", "revolute")], False),
        ("rail", [("rail", "a", "b", "prismatic"), ("arm", "b", "c", "revolute")], False),
        ("lift", [("lift", "a", "b", "prismatic")], False),
        ("slide", [("arm", "a", "b", "revolute"), ("slide", "b", "c", "prismatic")], None),
        (
            "one",
            [
                ("arm", "a", "b", "revolute"),
                ("one", "b", "c", "prismatic"),
                ("two", "b", "d", "prismatic", "one"),
            ],
            True,
        ),
        (
            "one",
            [("arm", "a", "b", "revolute"), ("one", "b", "c", "prismatic"), ("two", "b", "d", "prismatic")],
            True,
        ),
    ],
)
def test_what_moves_a_gripper(name, joints, expected):
    """By its name and what hangs on it; a last sliding joint that is called nothing is asked."""
    assert chain(*joints).is_gripper(name) is expected
