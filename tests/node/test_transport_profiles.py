"""Each transport profile under config/ has its effect, whichever Fast DDS is installed: real processes on loopback."""

import contextlib
import os
import socket
import struct
import subprocess
import sys

import pytest

from video2act_ros.ros import environment

BYTES = 300_000
TIMEOUT_S = 60.0
SEGMENT_BYTES = 64 << 20
DATAGRAM_BYTES = 1400
PEERS = 16  # processes looked for at each static peer
LEASE = b"\x02\x00\x08\x00" + struct.pack("<iI", 10, 0)  # of a participant's announcement: 10 s
PROGRAM = """
import sys
from video2act_ros.ros import environment
environment.prepare()
import rclpy
from std_msgs.msg import UInt8MultiArray

rclpy.init()
node = rclpy.create_node(sys.argv[1])
if sys.argv[1] == "segments":
    lines = [line for line in open("/proc/self/maps") if "/dev/shm/fast" in line and "_port" not in line]
    ranges = [line.split()[0].split("-") for line in lines]
    print(*(int(end, 16) - int(begin, 16) for begin, end in ranges))
elif sys.argv[1] == "talker":
    publisher = node.create_publisher(UInt8MultiArray, "data", 1)
    while True:
        publisher.publish(UInt8MultiArray(data=bytes(int(sys.argv[2]))))
        rclpy.spin_once(node, timeout_sec=0.2)
else:
    received = []
    node.create_subscription(UInt8MultiArray, "data", received.append, 1)
    while not received:
        rclpy.spin_once(node, timeout_sec=0.2)
    print(len(received[0].data))
"""


@pytest.fixture
def start(domain):
    """Start a process of one part of the stack: start("talker", "robot", BYTES)."""
    names = (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    clean |= {"ROS_DOMAIN_ID": str(domain), "ROS_STATIC_PEERS": "127.0.0.1"}
    with contextlib.ExitStack() as stack:

        def start(what, machine, *arguments):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, what, *map(str, arguments)],
                env=clean | {environment.MACHINE_VARIABLE: machine},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


@pytest.mark.parametrize(("machine", "segments"), [("all", 1), ("robot", 1), ("gpu_host", 0)])
def test_each_profile_is_accepted_and_sizes_shared_memory(start, machine, segments):
    """Fast DDS says nothing about the file, and maps a segment of 64 MB where the profile has shared memory."""
    if environment.shared_memory_bytes() < environment.SHARED_MEMORY_NEEDED_BYTES and segments:
        pytest.skip("too little shared memory")
    output, _ = start("segments", machine).communicate(timeout=TIMEOUT_S)
    sizes = [int(word) for word in output.split()]
    assert len(sizes) == segments
    assert all(SEGMENT_BYTES <= size < SEGMENT_BYTES * 1.1 for size in sizes)


@pytest.mark.parametrize("machine", ["robot", "gpu_host"])
def test_static_peers_are_asked_for_so_many_processes_and_told_the_lease(start, domain, machine):
    """The last port of the range at the peer gets announcements, without multicast, with a lease of 10 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(TIMEOUT_S)
        peer.bind(("127.0.0.1", 7410 + 250 * domain + 2 * (PEERS - 1)))
        start("listener", machine)
        assert LEASE in peer.recv(1 << 16)


def test_datagrams_fit_into_an_ethernet_frame(start, domain):
    """A large message from a robot to a GPU host arrives whole, in datagrams of which a lost one costs little."""
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    except PermissionError:
        pytest.skip("listening to datagrams needs CAP_NET_RAW")
    with tap:
        tap.bind(("lo", 0))
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        start("talker", environment.ROBOT, BYTES)
        output, _ = start("listener", environment.GPU_HOST).communicate(timeout=TIMEOUT_S)
        assert output == f"{BYTES}\n"
        ports = range(7400 + 250 * domain, 7650 + 250 * domain)
        sizes = [size for port, size in datagrams(tap) if port in ports]
    assert len(sizes) > BYTES / DATAGRAM_BYTES
    assert DATAGRAM_BYTES * 0.9 < max(sizes) <= DATAGRAM_BYTES


def datagrams(tap):
    """Yield (destination port, bytes) of the UDP datagrams that a packet socket holds."""
    tap.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            packet = tap.recv(1 << 16)
            header = (packet[0] & 15) * 4
            if packet[9] == socket.IPPROTO_UDP:
                yield struct.unpack_from("!2xHH", packet, header)[0], len(packet) - header - 8
