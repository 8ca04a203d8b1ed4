#!/usr/bin/env bash
# PyAV 18.1.0 (its wheel brings SVT-AV1): opening the encoder `libsvtav1` in a process that may do so (root, or
# CAP_SYS_NICE) puts the calling thread and its own threads into SCHED_FIFO with priority 99, and leaves them there. One would
# expect an encoder to leave the process as it is, and at most to name its threads. A dataset export that runs as
# root on a robot's computer then goes before the control thread. `libx264` leaves the classes alone.
# Needs root. Exits 0 while that is so, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - 2>/dev/null <<'PY'
import io
import os
import sys

import av


def classes():
    """Return the (policy, priority) of every thread of this process."""
    threads = [int(name) for name in os.listdir("/proc/self/task")]
    return {(os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority) for thread in threads}


def classes_with(encoder):
    container = av.open(io.BytesIO(), "w", format="mp4")
    stream = container.add_stream(encoder, rate=30)
    stream.width = stream.height = 128
    stream.pix_fmt = "yuv420p"
    stream.codec_context.open()
    return classes()


print("av", av.__version__)
before = classes()
with_x264 = classes_with("libx264")
calling_before = os.sched_getscheduler(0)
with_svt = classes_with("libsvtav1")
calling = (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
print("at first", before, "libx264", with_x264, "libsvtav1", with_svt, "calling thread", calling, flush=True)
found = before == with_x264 == {(os.SCHED_OTHER, 0)} and calling == (os.SCHED_FIFO, 99)
os._exit(0 if found else 1)
PY
