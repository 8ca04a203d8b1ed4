"""`ros2 launch` as a user calls it: its output, its processes, its exit status."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

STARTUP_S = 120.0  # several processes that load models on a busy machine
STOP_S = 30.0


def ros2():
    """Return the command line tool of this interpreter's ROS, or of the sourced one."""
    return shutil.which("ros2", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


class Launched:
    """One `ros2 launch`, a process group of its own like a terminal's foreground job. A context manager."""

    def __init__(self, *arguments, logs):
        self.changed = threading.Condition()
        self.lines = []
        self.process = subprocess.Popen(
            [ros2(), "launch", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"ROS_LOG_DIR": str(logs)},
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.ended()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, words, count=1, timeout_s=STARTUP_S):
        with self.changed:
            found = self.changed.wait_for(
                lambda: sum(words in line for line in self.lines) >= count, timeout_s
            )
        assert found, f"waited for '{words}' in:\n{self.output}"

    def pid(self, executable, index=0):
        """Return the newest process id of the index-th process with that executable."""
        pattern = re.compile(rf"\[({executable}-\d+)\]: process started with pid \[(\d+)\]")
        started = dict(match.groups() for line in self.lines if (match := pattern.search(line)))
        return int(list(started.values())[index])

    def pids(self):
        return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", self.output)]

    def interrupt(self):
        """Send SIGINT as a terminal does: to launch and to every node."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self):
        """Wait for the end of launch and of its output; return the exit status."""
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"launch did not end:\n{self.output}") from None
        self.reader.join(STOP_S)
        return status


def is_running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
