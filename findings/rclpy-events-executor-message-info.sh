#!/usr/bin/env bash
# rclpy 9.1.2 (ROS 2 Kilted): a subscription whose callback takes (message, message_info) gets both from
# SingleThreadedExecutor. rclpy.experimental.EventsExecutor calls the same callback with the message alone, although
# the subscription itself knows that it wants both (CallbackType.WithMessageInfo). One would expect the executors to
# call callbacks alike; code that sorts messages by their source time stamp works with one and fails with the other.
# Exits 0 while that is so, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ros-rclpy==9.1.2 ros-rmw-fastrtps-cpp==9.3.3 ros-rmw-implementation==3.0.4 \
  ros-std-msgs==5.5.1 "numpy<3" "pyyaml<7"
export LD_LIBRARY_PATH="$folder/venv/lib" ROS_DOMAIN_ID=87 ROS_LOG_DIR="$folder" RMW_IMPLEMENTATION=rmw_fastrtps_cpp
"$folder/venv/bin/python" - <<'PY'
import functools
import sys
import time
from importlib.metadata import version

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from std_msgs.msg import Bool


def arguments_with(executor_class):
    """Return how the subscription sees its callback, and with how many arguments that was called."""
    rclpy.init()
    node = rclpy.create_node("listener")
    seen = []

    def wanted(message, message_info):
        """What a user writes; only its signature matters here."""

    @functools.wraps(wanted)
    def callback(*arguments):
        seen.append(len(arguments))

    subscription = node.create_subscription(Bool, "state", callback, 1)
    publisher = node.create_publisher(Bool, "state", 1)
    executor = executor_class()
    executor.add_node(node)
    end = time.monotonic() + 20.0
    while not seen and time.monotonic() < end:
        publisher.publish(Bool(data=True))
        executor.spin_once(timeout_sec=0.1)
    kind = subscription._callback_type.name
    rclpy.shutdown()
    return f"{kind}, called with {seen[0] if seen else 'nothing'}"


print("rclpy", version("ros-rclpy"))
both, alone = arguments_with(SingleThreadedExecutor), arguments_with(EventsExecutor)
print("SingleThreadedExecutor:", both)
print("EventsExecutor:", alone)
sys.exit((both, alone) != ("WithMessageInfo, called with 2", "WithMessageInfo, called with 1"))
PY
