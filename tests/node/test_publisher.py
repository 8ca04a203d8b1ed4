"""A message that the middleware does not take is told, and costs nothing else."""

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from video2act_ros.core.config import System1Config
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.lifecycle import ManagedNode

FULL = 100_000  # far more messages than writer and reader keep


class Sender(ManagedNode):
    """A node that only publishes."""

    CONFIG = System1Config


def test_a_message_that_cannot_be_sent_is_reported_and_nothing_raised(context):
    """A subscriber that takes nothing fills the writer: a thread that publishes lives on, /diagnostics tells it."""
    keep_all = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
    node = Sender(context=context)
    node.create_subscription(String, "text", lambda message: None, keep_all)  # never spun
    publisher = node.create_publisher(String, "text", keep_all)
    for _ in range(FULL):
        publisher.publish(String(data="again"))
        if node.health.report().level is Level.ERROR:
            break
    assert "text was lost" in node.health.report().message
    node.destroy_node()
