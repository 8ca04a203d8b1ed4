"""The ament_python package video2act_ros: colcon and pip both install from here."""

import os
import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "video2act_ros"
MESSAGES = "video2act_msgs"
SHARE = Path("share") / PACKAGE
NODES = (
    "system2_node",
    "system1_node",
    "command_node",
    "sim_robot_node",
    "mock_driver_node",
    "safe_source_node",
    "recorder_node",
    "replay_node",
)


def data_files() -> list[tuple[str, list[str]]]:
    """Return (folder under the install prefix, files) for the index marker and the share folder."""
    entries = [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml"]),
    ]
    for root in ("launch", "config", "models"):
        for folder in sorted({path.parent for path in Path(root).rglob("*") if path.is_file()}):
            files = sorted(str(path) for path in folder.iterdir() if path.is_file())
            entries.append((str(SHARE / folder), files))
    return entries


def check_messages() -> None:
    """Stop a colcon build without the messages: colcon looks for no package inside of one, and nodes need them.

    Only colcon still calls `setup.py install` or `develop`; it puts what this package depends on, and has built
    before, on AMENT_PREFIX_PATH.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    index = Path("share/ament_index/resource_index/packages") / MESSAGES
    if not {"install", "develop"} & set(sys.argv) or any(
        (Path(prefix) / index).is_file() for prefix in prefixes
    ):
        return
    here = Path.cwd()
    raise SystemExit(
        f"{PACKAGE} needs the package {MESSAGES}, which is not in this workspace; link it beside this clone and "
        f"build again: ln -s {here.name}/ros2_ws/src/{MESSAGES} {here.parent / MESSAGES}"
    )


check_messages()
setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=data_files(),
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # tells `colcon test` which runner to use
    zip_safe=True,
    maintainer="video2act_ros maintainers",
    maintainer_email="maintainers@video2act-ros.invalid",
    description="A dual-system video-to-action policy on ROS 2",
    license="Apache-2.0",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)],
    entry_points={
        "console_scripts": ["video2act = video2act_ros.cli:main"]
        + [f"{node} = {PACKAGE}.nodes.{node}:main" for node in NODES],
    },
)
