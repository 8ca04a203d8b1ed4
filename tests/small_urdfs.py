"""URDFs of well-known arms, reduced to what a draft looks at: joints, links and limits as they are published."""

PI = "3.14159265359"
SO101 = (  # its file begins at the gripper; 10 rad/s is a placeholder
    ("gripper", "revolute", "gripper_link", "moving_jaw", "-0.174533", "1.74533", "10"),
    ("wrist_roll", "revolute", "wrist_link", "gripper_link", "-2.74385", "2.84121", "10"),
    ("wrist_flex", "revolute", "lower_arm_link", "wrist_link", "-1.65806", "1.65806", "10"),
    ("elbow_flex", "revolute", "upper_arm_link", "lower_arm_link", "-1.69", "1.69", "10"),
    ("shoulder_lift", "revolute", "shoulder_link", "upper_arm_link", "-1.74533", "1.74533", "10"),
    ("shoulder_pan", "revolute", "base_link", "shoulder_link", "-1.91986", "1.91986", "10"),
)
UR5E = (
    ("shoulder_pan_joint", "revolute", "base_link", "shoulder_link", "-6.28318", "6.28318", PI),
    ("shoulder_lift_joint", "revolute", "shoulder_link", "upper_arm_link", "-6.28318", "6.28318", PI),
    ("elbow_joint", "revolute", "upper_arm_link", "forearm_link", "-" + PI, PI, PI),
    ("wrist_1_joint", "revolute", "forearm_link", "wrist_1_link", "-6.28318", "6.28318", PI),
    ("wrist_2_joint", "revolute", "wrist_1_link", "wrist_2_link", "-6.28318", "6.28318", PI),
    ("wrist_3_joint", "revolute", "wrist_2_link", "wrist_3_link", "-6.28318", "6.28318", PI),
)
PANDA = (
    *(
        (
            f"panda_joint{index}",
            "revolute",
            f"panda_link{index - 1}",
            f"panda_link{index}",
            low,
            high,
            "2.175",
        )
        for index, (low, high) in enumerate(
            (
                ("-2.8973", "2.8973"),
                ("-1.7628", "1.7628"),
                ("-2.8973", "2.8973"),
                ("-3.0718", "-0.0698"),
                ("-2.8973", "2.8973"),
                ("-0.0175", "3.7525"),
                ("-2.8973", "2.8973"),
            ),
            1,
        )
    ),
    ("panda_hand_joint", "fixed", "panda_link7", "panda_hand", "0", "0", "0"),
    ("panda_finger_joint1", "prismatic", "panda_hand", "panda_leftfinger", "0.0", "0.04", "0.2"),
    (
        "panda_finger_joint2",
        "prismatic",
        "panda_hand",
        "panda_rightfinger",
        "0.0",
        "0.04",
        "0.2",
        "panda_finger_joint1",
    ),
)


def _follower(side):
    """One arm of a pair whose jaws are called left and right, too; 1000 rad/s are a placeholder."""
    names = [f"follower_{side}_joint_{index}" for index in range(6)]
    links = [f"follower_{side}_base", *(f"follower_{side}_link_{index}" for index in range(1, 7))]
    left, right = f"follower_{side}_left_carriage_joint", f"follower_{side}_right_carriage_joint"
    return (
        (f"follower_{side}_mount", "fixed", "tabletop", links[0], "0", "0", "0"),
        *(
            (name, "revolute", links[index], links[index + 1], "-1.57", "1.57", "1000")
            for index, name in enumerate(names)
        ),
        (right, "prismatic", links[-1], f"follower_{side}_right_jaw", "0", "0.044", "0.25", left),
        (left, "prismatic", links[-1], f"follower_{side}_left_jaw", "0", "0.044", "0.25"),
    )


BIMANUAL = (*_follower("left"), *_follower("right"))


def write_urdf(path, joints, extra=""):
    """Write a URDF of `joints`: (name, kind, parent, child, lower, upper, velocity[, the joint it follows])."""
    elements = []
    for name, kind, parent, child, lower, upper, velocity, *follows in joints:
        mimic = f'<mimic joint="{follows[0]}"/>' if follows else ""
        limit = f'<limit lower="{lower}" upper="{upper}" velocity="{velocity}" effort="10"/>'
        elements.append(
            f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
            f"{limit if kind != 'fixed' else ''}{mimic}</joint>"
        )
    path.write_text(f'<robot name="{path.stem}">{"".join(elements)}{extra}</robot>')
    return path
