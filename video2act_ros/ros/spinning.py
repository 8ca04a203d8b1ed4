"""A node that spins in a thread of its own, for programs that ask it from another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from rclpy.node import Node

from video2act_ros.ros.process import make_executor

N = TypeVar("N", bound=Node)

_SPIN_S = 0.1  # between two looks whether to stop


@contextmanager
def spinning(node: N) -> Iterator[N]:
    """Yield `node` while its executor spins in another thread; destroy it at the end. Its context stays."""
    executor, stopping = make_executor(node.context), threading.Event()
    executor.add_node(node)

    def spin() -> None:
        while not stopping.is_set():
            executor.spin_once(timeout_sec=_SPIN_S)

    thread = threading.Thread(target=spin, name=f"{node.get_name()}_executor")
    thread.start()
    try:
        yield node
    finally:
        stopping.set()
        thread.join()
        executor.shutdown()
        node.destroy_node()
