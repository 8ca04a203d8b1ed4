"""How many images of a size arrive over the emulated link, and how late: a measurement, not a test.

    sudo .venv/bin/python tests/link_loss.py [--loss 0.01] BYTES…

sends images of each size at 20 Hz to a best-effort and to a reliable subscriber on the GPU host.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rclpy
import two_hosts
from sensor_msgs.msg import CompressedImage

from video2act_ros.ros import environment, qos
from video2act_ros.ros.convert import stamp_to_ns

DELAY_S, PERIOD_S, IMAGES = 0.01, 0.05, 200
DISCOVERY_S, PATIENCE_S = 2.0, 30.0
RELIABILITIES = ("best_effort", "reliable")


def measure(sizes, loss):
    """Run a publisher here and a subscriber on the GPU host for each size and reliability."""
    program = [sys.executable, __file__]
    peers = {"ROS_STATIC_PEERS": two_hosts.GPU_HOST_ADDRESS, environment.MACHINE_VARIABLE: environment.ROBOT}
    theirs = {"ROS_STATIC_PEERS": two_hosts.ROBOT_ADDRESS, environment.MACHINE_VARIABLE: environment.GPU_HOST}
    with two_hosts.own_network() as network, tempfile.NamedTemporaryFile() as log:
        host = two_hosts.GpuHost()
        link = two_hosts.Link((network, host.network), DELAY_S, loss)
        try:
            for reliability in RELIABILITIES:
                for size in sizes:
                    words = ["--role", "subscriber", "--reliability", reliability, str(size)]
                    subscriber = host.run([*program, *words], Path(log.name), **theirs)
                    words[1] = "publisher"
                    subprocess.run([*program, *words], env=os.environ | peers, check=True)
                    subscriber.wait(PATIENCE_S)
        finally:
            sys.stdout.write(Path(log.name).read_text())
            link.close()
            host.close()


def publish(node, size):
    """Send the images once the subscriber is known on both sides."""
    publisher = node.create_publisher(CompressedImage, "image", qos.SOURCE)
    message = CompressedImage(format="jpeg", data=bytes(size))
    due_s = None
    for number in range(-1, IMAGES):
        while publisher.get_subscription_count() == 0 or (due_s and time.monotonic() < due_s):
            spin_for(node, PERIOD_S / 10)
        due_s = time.monotonic() + (DISCOVERY_S if number < 0 else PERIOD_S)
        if number >= 0:
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)
    spin_for(node, DISCOVERY_S)


def subscribe(node, reliability, size):
    """Tell what arrived, once the publisher is gone."""
    delays_ms = []

    def receive(message):
        delays_ms.append((node.get_clock().now().nanoseconds - stamp_to_ns(message.header.stamp)) / 1e6)

    profile = qos.RELIABLE_CAMERA if reliability == "reliable" else qos.CAMERA
    node.create_subscription(CompressedImage, "image", receive, profile)
    seen = False
    while not seen or node.count_publishers("image"):
        spin_for(node, PERIOD_S)
        seen = seen or node.count_publishers("image") > 0
    delays_ms.sort()
    figures = f"p50 {delays_ms[len(delays_ms) // 2]:.0f} ms, max {delays_ms[-1]:.0f} ms" if delays_ms else "-"
    sys.stdout.write(f"{size} bytes, {reliability}: {len(delays_ms)} of {IMAGES} arrived, {figures}\n")


def spin_for(node, seconds):
    """Take what comes for so long."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        rclpy.spin_once(node, timeout_sec=left_s)


def main():
    """Measure; or, started by the measurement, be one end of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="+", metavar="BYTES")
    parser.add_argument("--loss", type=float, default=0.01, help="share of frames lost")
    parser.add_argument("--role", choices=("measure", "publisher", "subscriber"), default="measure")
    parser.add_argument("--reliability", choices=RELIABILITIES, default="best_effort")
    options = parser.parse_args()
    if options.role == "measure":
        measure(options.sizes, options.loss)
        return
    environment.prepare(may_restart=True)
    rclpy.init()
    node = rclpy.create_node(options.role)
    if options.role == "publisher":
        publish(node, options.sizes[0])
    else:
        subscribe(node, options.reliability, options.sizes[0])
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
