"""Measures the recorder: cameras as processes, then what is in the bag and what recording it cost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rosbags.highlevel import AnyReader

from video2act_ros.core.errors import BagError
from video2act_ros.core.types import NS_PER_S
from video2act_ros.nodes.bench_camera import CameraOptions, number_of
from video2act_ros.recording.writing.bag_repair import repair_bag
from video2act_ros.recording.writing.bag_writer import check_new_folder
from video2act_ros.recording.writing.jpeg_images import SUFFIX

KILL_AT = 0.8
"""When a recorder is killed, as a share of the whole time."""

Figures = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class RecordBenchOptions:
    """What `video2act bench-record` was asked for."""

    seconds: float
    images: str
    jpeg_quality: int
    cameras: int
    rate_hz: float
    width: int
    height: int
    bag: Path
    kill: bool  # the recorder, while the cameras publish

    def camera(self, index: int) -> CameraOptions:
        """Return what one camera does."""
        count = round(self.seconds * self.rate_hz)
        return CameraOptions(f"bench_cam{index}", self.rate_hz, count, self.width, self.height)


def run_bench_record(options: RecordBenchOptions) -> Figures:
    """Record numbered images and return the figures; sizes in MB of 10⁶ bytes, shares of one core.

    Raises:
        BagError: a process ended, or the bag cannot be read.
    """
    check_new_folder(options.bag)
    environ = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "PYTHONUNBUFFERED": "1"}
    recorder = _start_recorder(options, environ)
    cameras = [_start_camera(options.camera(index), environ) for index in range(options.cameras)]
    try:
        for camera in cameras:
            _answer(camera)
        before, started_s = _cpu_s(recorder.pid), time.monotonic()
        for camera in cameras:
            _tell(camera)
        if options.kill:
            time.sleep(KILL_AT * options.seconds)
            return _kill(recorder, options)
        late_s = max(float(_answer(camera)) for camera in cameras)
        elapsed_s, cpu_s = time.monotonic() - started_s, _cpu_s(recorder.pid) - before
        figures = {"seconds": elapsed_s, "cpu_share": cpu_s / elapsed_s, "publishers_late_s": late_s}
        figures["resident_mb"] = _status_kb(recorder.pid, "VmHWM") / 1e3
        disk_bytes = _end(recorder, options)
        return figures | _contents(options, disk_bytes, elapsed_s)
    finally:
        for process in (*cameras, recorder):
            process.kill()
            process.wait()
        shutil.rmtree(options.bag, ignore_errors=True)


def _start_recorder(options: RecordBenchOptions, environ: dict[str, str]) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "video2act_ros.nodes.recorder_node", "--ros-args"]
    for name, value in (
        ("bag", options.bag),
        ("images", options.images),
        ("jpeg_quality", options.jpeg_quality),
    ):
        line += ["-p", f"{name}:={value}"]
    log = options.bag.with_name(options.bag.name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        return subprocess.Popen(line, env=environ, stdout=output, stderr=output, text=True)


def _start_camera(camera: CameraOptions, environ: dict[str, str]) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "video2act_ros.nodes.bench_camera", *camera.arguments()]
    return subprocess.Popen(
        line, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def _answer(camera: subprocess.Popen[str]) -> str:
    assert camera.stdout is not None
    line = camera.stdout.readline().strip()
    if not line:
        raise BagError("a camera of the benchmark ended; is ROS set up? see `video2act doctor`")
    return line


def _tell(camera: subprocess.Popen[str]) -> None:
    assert camera.stdin is not None
    camera.stdin.write("\n")


def _end(recorder: subprocess.Popen[str], options: RecordBenchOptions) -> int:
    """End the recorder; return the bytes that it sent to the disk."""
    recorder.send_signal(signal.SIGINT)
    written = 0
    while recorder.poll() is None:
        written = max(written, _written_bytes(recorder.pid))
        time.sleep(0.01)
    return written


def _kill(recorder: subprocess.Popen[str], options: RecordBenchOptions) -> Figures:
    """Kill the recorder, repair its bag, and return what is missing at the end."""
    recorder.kill()
    killed_ns = time.time_ns()
    recorder.wait()
    started_s = time.monotonic()
    report = repair_bag(options.bag)
    repair_s = time.monotonic() - started_s
    with AnyReader([options.bag]) as reader:
        newest_ns = reader.end_time - 1
    return {
        "lost_s": (killed_ns - newest_ns) / NS_PER_S,
        "repaired_messages": report.messages,
        "cut_bytes": report.cut_bytes,
        "repair_s": repair_s,
    }


def _contents(options: RecordBenchOptions, disk_bytes: int, elapsed_s: float) -> Figures:
    suffix = SUFFIX if options.images == "jpeg" else ""
    found: dict[str, set[int]] = {
        f"/{options.camera(i).name}/image_raw{suffix}": set() for i in range(options.cameras)
    }
    payload, others = 0, 0
    with AnyReader([options.bag]) as reader:
        for connection, _, data in reader.messages():
            payload += len(data)
            if connection.topic in found:
                found[connection.topic].add(number_of(bytes(data[:27])))
            else:
                others += 1
    published = options.camera(0).count * options.cameras
    recorded = sum(len(numbers) for numbers in found.values())
    file_bytes = sum(file.stat().st_size for file in options.bag.iterdir())
    return {
        "images_published": published,
        "images_recorded": recorded,
        "images_missing": published - recorded,
        "other_messages": others,
        "payload_mb": payload / 1e6,
        "payload_mb_per_s": payload / 1e6 / elapsed_s,
        "bag_mb": file_bytes / 1e6,
        "size_per_payload": file_bytes / max(payload, 1),
        "written_per_payload": disk_bytes / max(payload, 1),
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_kb(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _written_bytes(pid: int) -> int:
    """Return what a process made the kernel send to the disk; 0 where it may not be asked."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes")), 0)
