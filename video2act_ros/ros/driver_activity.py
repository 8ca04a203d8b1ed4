"""How a node that stands in for a robot tells whether it acts on commands, as a controller manager does."""

from __future__ import annotations

from std_msgs.msg import String

from video2act_ros.ros import qos
from video2act_ros.ros.lifecycle import ManagedNode

ACTIVE, INACTIVE = "active", "inactive"


def activity_topic(node: str) -> str:
    """Return the topic on which the stand-in with the full name `node` tells."""
    return f"{node}/activity"


class DriverActivity:
    """Tells, latched, whether the node acts. One that never told counts as active."""

    def __init__(self, node: ManagedNode) -> None:
        """Make the publisher; in the node's `setup`."""
        self._publisher = node.create_publisher(String, activity_topic("~"), qos.LATCHED)

    def tell(self, active: bool) -> None:
        """Tell it from now on."""
        self._publisher.publish(String(data=ACTIVE if active else INACTIVE))
