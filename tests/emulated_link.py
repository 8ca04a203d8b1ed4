"""A network link between two network namespaces, in user space: delay, loss, and a cut on demand.

Opens a TAP device in each namespace and relays Ethernet frames between them. Needs root and /dev/net/tun; the
kernel's own emulation (netem) is missing in many kernels. Standard library only: it runs as a process of its own.

    emulated_link.py NAMESPACE_FILE NAMESPACE_FILE DELAY_S LOSS

prints `ready`, then obeys lines on standard input: `cut`, `mend`, `loss SHARE`; each is answered by `ok`. It ends
with its standard input.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field

DEVICE = "link0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
MTU = 1500

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_MULTICAST = b"\x01\x00\x5e"  # dropped, as many wireless networks and switches do
_BATCH = 256  # frames read from one side before the other one has its turn
_QUEUE_BYTES = 16 << 20  # under way in one direction; more is dropped, as in a switch


@dataclass
class End:
    """One side of the link: its device, and what is under way to it as (due [s], number, frame)."""

    device: int
    queue: list = field(default_factory=list)
    queued_bytes: int = 0


class Link:
    """Carries frames between two ends."""

    def __init__(self, ends, delay_s, loss):
        self.ends, self.delay_s, self.loss = ends, delay_s, loss
        self.cut = False
        self.count = 0
        self.random = random.Random(0)  # the same frames are lost in every run

    def take(self, source, target, now_s):
        """Read what one end sends; what is not lost is due at the other one after the delay."""
        for _ in range(_BATCH):
            try:
                frame = os.read(source.device, 65536)
            except BlockingIOError:
                return
            full = target.queued_bytes + len(frame) > _QUEUE_BYTES
            multicast = frame[:3] == _MULTICAST
            if self.cut or full or multicast or self.random.random() < self.loss:
                continue
            self.count += 1
            target.queued_bytes += len(frame)
            heapq.heappush(target.queue, (now_s + self.delay_s, self.count, frame))

    def deliver(self, end, now_s):
        """Hand out what is due; a cut loses what was under way."""
        while end.queue and end.queue[0][0] <= now_s:
            frame = heapq.heappop(end.queue)[2]
            end.queued_bytes -= len(frame)
            if not self.cut:
                os.write(end.device, frame)

    def obey(self, line):
        """Follow one line of standard input."""
        verb, *values = line.split()
        if verb in ("cut", "mend"):
            self.cut = verb == "cut"
        elif verb == "loss":
            self.loss = float(values[0])
        else:
            raise ValueError(f"unknown request '{verb}'; known: cut, mend, loss SHARE")

    def run(self):
        """Carry frames until standard input ends."""
        one, other = self.ends
        while True:
            dues = [end.queue[0][0] for end in self.ends if end.queue]
            wait_s = max(0.0, min(dues) - time.monotonic()) if dues else None
            ready, _, _ = select.select([one.device, other.device, sys.stdin], [], [], wait_s)
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                self.obey(line)
                answer("ok")
            self.take(one, other, time.monotonic())
            self.take(other, one, time.monotonic())
            for end in self.ends:
                self.deliver(end, time.monotonic())


def answer(word):
    """Tell whoever started this process."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def enter_network(namespace):
    """Let this thread live in the network namespace of that file."""
    with open(namespace, "rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def open_end(namespace, address):
    """Make the device of one side in its namespace, with an address, up, and with multicast."""
    enter_network(namespace)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TAP | _IFF_NO_PI))
    for line in (
        f"addr add {address}/24 dev {DEVICE}",
        f"link set {DEVICE} mtu {MTU} up multicast on txqueuelen 10000",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    return End(device)


def main():
    """Carry frames between the two namespaces given."""
    *namespaces, delay_s, loss = sys.argv[1:]
    ends = [open_end(namespace, address) for namespace, address in zip(namespaces, ADDRESSES, strict=True)]
    answer("ready")
    Link(ends, float(delay_s), float(loss)).run()


if __name__ == "__main__":
    main()
