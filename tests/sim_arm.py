"""The simulated robot's arm, seen from outside of the stack."""

from collections import deque

import numpy as np
from sensor_msgs.msg import JointState

from video2act_ros.ros import qos

RIGHT_ARM = slice(7, 13)
MOVED_RAD = 0.1
STANDING_RAD = 0.01  # in which every joint stays: contacts and servos make momentary velocities jitter
WINDOW = 50  # samples, half a second
STEP_S = 30.0


class Joints:
    """The newest measured joints of the simulated robot."""

    def __init__(self, node):
        self.node = node
        self.positions = None
        self.window = deque(maxlen=WINDOW)
        node.create_subscription(JointState, "joint_states", self._store, qos.JOINT_STATES)

    def _store(self, message):
        with self.node.changed:
            self.positions = np.array(message.position)
            self.window.append(self.positions[RIGHT_ARM])
            self.node.changed.notify_all()

    def standing(self):
        return len(self.window) == WINDOW and np.ptp(self.window, axis=0).max() < STANDING_RAD

    def moved_from(self, start):
        return np.abs(self.positions - start)[RIGHT_ARM].max() > MOVED_RAD


def engage(node, joints):
    """Reset the simulation, engage, and wait until the arm moves."""
    node.prepare(800_000, STEP_S)
    node.wait_for(joints.standing, STEP_S, "the reset arm to stand")
    start = joints.positions.copy()
    node.engage(STEP_S)
    node.wait_for(lambda: joints.moved_from(start), STEP_S, "the arm to move")
