"""A computer of its own on this machine: a network without multicast, and a /dev/shm that can be emptied."""

import os
import subprocess
import sys
from pathlib import Path

_STOP_S = 30.0
# Nobody may join a group: without the flag alone, the loopback device still carries multicast.
_NO_MULTICAST = "ip link set lo up multicast off && echo 0 > /proc/sys/net/ipv4/igmp_max_memberships"
_MAKE = f"mount -t tmpfs -o size=1g tmpfs /dev/shm && {_NO_MULTICAST}"


def why_not():
    """Return why this machine cannot pretend to be another one, or None."""
    try:
        made = subprocess.run(
            ["unshare", "--net", "--mount", "sh", "-c", _MAKE], capture_output=True, text=True
        )
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return None if made.returncode == 0 else f"namespaces are not permitted: {made.stderr.strip()}"


class OwnMachine:
    """Starts programs there. A context manager, which ends them."""

    def __init__(self, **environ):
        self._environ = os.environ | environ
        script = f"{_MAKE} && echo ready && exec cat"  # ends with its standard input
        pipe = subprocess.PIPE
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", script], stdin=pipe, stdout=pipe, text=True
        )
        assert self._holder.stdout.readline() == "ready\n"
        self._started = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(_STOP_S)
        self._holder.communicate()

    def _line(self, *command):
        target = ["--target", str(self._holder.pid), "--net", "--mount", f"--wd={Path.cwd()}"]
        return ["nsenter", *target, *command]

    def start(self, module, *arguments, log, **environ):
        """Start a Python module whose output goes to the file `log`; return its process."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self._line(sys.executable, "-m", module, *arguments),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environ | environ,
            )
        self._started.append(process)
        return process

    def video2act(self, *arguments, **environ):
        """Run a command of the command line to its end."""
        line = self._line(sys.executable, "-m", "video2act_ros.cli", *arguments)
        return subprocess.run(line, capture_output=True, text=True, env=self._environ | environ)

    def empty_shared_memory(self):
        """Remove every file of /dev/shm under whoever uses it."""
        subprocess.run(self._line("find", "/dev/shm", "-mindepth", "1", "-delete"), check=True)
