"""Two computers on one machine: this process in a network of its own, a GPU host in another, a link between them."""

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import emulated_link

ROBOT_ADDRESS, GPU_HOST_ADDRESS = emulated_link.ADDRESSES
_CLONE_NEWNET = 0x40000000
_STOP_S = 15.0

# Adds SKEW_S to the wall clock of every process that preloads it; the steady clock stays.
_SKEW_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long long skew_ns(void) {
    const char *text = getenv("SKEW_S");
    return text ? (long long)(atof(text) * 1e9) : 0;
}
int clock_gettime(clockid_t id, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, time);
    if (status == 0 && id == CLOCK_REALTIME) {
        long long ns = time->tv_sec * 1000000000LL + time->tv_nsec + skew_ns();
        time->tv_sec = ns / 1000000000LL;
        time->tv_nsec = ns % 1000000000LL;
    }
    return status;
}
"""


def why_not():
    """Return why this machine cannot pretend to be two, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "the emulated link needs /dev/net/tun"
    trial = "ip tuntap add dev trial0 mode tap && mount -t tmpfs tmpfs /dev/shm"
    command = ["unshare", "--net", "--mount", "--uts", "sh", "-c", trial]
    try:
        made = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return None if made.returncode == 0 else f"namespaces are not permitted: {made.stderr.strip()}"


def build_skew(folder):
    """Compile the library that skews a process's clock; return it, or None without a C compiler."""
    source, library = folder / "skew.c", folder / "skew.so"
    source.write_text(_SKEW_SOURCE)
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    try:
        return library if subprocess.run(command).returncode == 0 else None
    except FileNotFoundError:
        return None


def _call(function, *arguments):
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments):
        raise OSError(ctypes.get_errno(), f"{function} failed")


@contextlib.contextmanager
def own_network():
    """Move this thread, and what it starts, into a new network with only a loopback device; then back."""
    thread = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
    before = os.open(thread, os.O_RDONLY)
    _call("unshare", _CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
        yield thread
    finally:
        _call("setns", before, _CLONE_NEWNET)
        os.close(before)


class GpuHost:
    """A computer with its own network, /dev/shm and name; `run` starts a program on it."""

    def __init__(self):
        script = "hostname gpu-host && mount -t tmpfs -o size=64m tmpfs /dev/shm && ip link set lo up"
        script += " && echo ready && exec cat"  # ends with its standard input
        command = ["unshare", "--net", "--mount", "--uts", "sh", "-c", script]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "ready\n"
        self.network = f"/proc/{self._holder.pid}/ns/net"

    def command(self, *command):
        """Return the command line that runs a command there."""
        target = [
            "nsenter",
            "--target",
            str(self._holder.pid),
            "--net",
            "--mount",
            "--uts",
            f"--wd={Path.cwd()}",
        ]
        return [*target, *command]

    def run(self, command, log, **environ):
        """Start a program there."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(*command), stdout=output, stderr=output, env=os.environ | environ
            )

    def close(self):
        """Forget the computer."""
        self._holder.stdin.close()
        self._holder.wait(_STOP_S)


class Link:
    """The emulated link, in a process of its own."""

    def __init__(self, networks, delay_s, loss):
        command = [sys.executable, emulated_link.__file__, *networks, str(delay_s), str(loss)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, request):
        """Cut, mend, or change the loss."""
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ok\n"

    def close(self):
        """Take the link away."""
        self._process.stdin.close()
        self._process.wait(_STOP_S)


def stop(process):
    """End a program that was started here."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def carried_bytes():
    """Return (sent, received) bytes of this side's end of the link."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == emulated_link.DEVICE:
            numbers = figures.split()
            return int(numbers[8]), int(numbers[0])
    raise RuntimeError(f"no device {emulated_link.DEVICE} here")
