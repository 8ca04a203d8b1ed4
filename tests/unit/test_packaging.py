"""package.xml, the requirements files and the imports of the package say the same."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from video2act_ros.doctor.timing_checks import PYTHON_FIRST, PYTHON_LAST
from video2act_ros.ros.launch_arguments import ARGUMENTS
from video2act_ros.ros.stack import REAL_ROBOT

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
PACKAGE_XML = {
    "video2act_ros": ROOT / "package.xml",
    "video2act_msgs": ROOT / "ros2_ws/src/video2act_msgs/package.xml",
}

# Python modules whose package has another name: on PyPI, and as a key of rosdep where that one gives a version that
# is new enough on Ubuntu 24.04. ROS packages are named as their modules.
PYPI = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "PyYAML", "OpenGL": "PyOpenGL"}
ROSDEP = {
    "numpy": "python3-numpy",
    "cv2": "python3-opencv",
    "PIL": "python3-pil",
    "scipy": "python3-scipy",
    "yaml": "python3-yaml",
}
NOT_IMPORTED = {  # needed without an import of ours, and why
    "opengl": "renders the simulated cameras without a display",
    "PyOpenGL": "MuJoCo's headless rendering imports it",
    "ros2launch": "the documented way to start",
    "launch_pytest": "tests/launch",
    "launch_testing": "tests/launch",
    "launch_testing_ros": "tests/launch",
    "python3-pytest": "the tests",
    "python3-hypothesis": "the tests",
    "onnx": "torch's exporter writes it",
    "onnxscript": "torch's exporter translates with it",
    "setuptools": "build",
}


def imported_modules() -> set[str]:
    """Return the top-level modules outside the standard library that the package and the launch files import."""
    modules: set[str] = set()
    for path in [*(ROOT / "video2act_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names) - {"video2act_ros"}


def declared(package: str, kinds: str = "depend") -> set[str]:
    """Return the keys of a package.xml whose element names end with `kinds`."""
    root = ElementTree.parse(PACKAGE_XML[package]).getroot()
    return {element.text or "" for element in root if element.tag.endswith(kinds)}


def lines(path: Path) -> list[str]:
    """Return a requirements or constraints file's lines without comments, those of included files too."""
    found = []
    for raw in path.read_text().splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith(("-r ", "-c ")):
            found += lines(path.parent / line[3:])
        elif line:
            found.append(line)
    return found


def name_of(line: str) -> str:
    return re.split(r"[ ;<>=!~\[]", line)[0]


def required(*files: str) -> set[str]:
    """Return the names of packages that requirements files ask for."""
    asked = (line for file in files for line in (REQUIREMENTS / file).read_text().splitlines())
    return {name_of(line.split("#")[0].strip()) for line in asked if line.strip() and line[0] not in "#-"}


ALL_FILES = ("torch.txt", "base.txt", "onnx.txt", "onnx-gpu.txt", "analysis.txt", "sim.txt")


@pytest.mark.parametrize("module", sorted(imported_modules()))
def test_every_import_is_declared(module):
    """What the package imports is installed by rosdep or by pip, not by luck through somebody else's dependency."""
    ours = {module, PYPI.get(module, module), ROSDEP.get(module, module)}
    assert ours & (declared("video2act_ros") | required(*ALL_FILES))


def test_every_key_of_package_xml_is_known_and_needed():
    """rosdep stops at the first key that it does not know; keys that nothing needs are not there."""
    modules = imported_modules()
    keys = {ROSDEP.get(module, module) for module in modules}
    assert declared("video2act_ros") <= keys | set(NOT_IMPORTED)


def test_what_rosdep_gives_is_declared():
    """Every module with a key in rosdep is in package.xml, and every ROS package that is imported."""
    wanted = {ROSDEP[module] for module in imported_modules() if module in ROSDEP}
    pip = required(*ALL_FILES)
    ros = {name for name in imported_modules() if PYPI.get(name, name) not in pip and name not in ROSDEP}
    assert wanted | ros <= declared("video2act_ros")
    assert "cv_bridge" in ros


def test_every_requirement_is_needed():
    """A package that nothing imports any more leaves the requirements."""
    imported = {PYPI.get(module, module) for module in imported_modules()}
    names = {"gym-aloha": "gym_aloha", "onnxruntime-gpu": "onnxruntime"}
    data_only = {"gym-aloha"}  # its files are found by importlib, none of its code is imported
    asked = {names.get(name, name) for name in required(*ALL_FILES) - data_only}
    dynamic = {"onnxruntime"}  # imported by name where it is installed
    assert asked <= imported | set(NOT_IMPORTED) | dynamic


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-numpy1.txt"])
def test_every_requirement_has_one_exact_version(file):
    """Either set of versions is complete, so that an installation tomorrow equals the one of today."""
    pinned = [name_of(line) for line in lines(REQUIREMENTS / file) if "==" in line]
    exact = set(pinned) | {name_of(line) for line in lines(REQUIREMENTS / "torch.txt") if "==" in line}
    exact |= {name_of(line) for line in lines(REQUIREMENTS / "sim.txt") if "==" in line}
    assert required(*ALL_FILES, "dev.txt") - exact <= {"setuptools"}
    markers = [line for line in lines(REQUIREMENTS / file) if "python_version" in line]
    several = [name for name in set(pinned) if pinned.count(name) > 1]
    assert all(sum(name_of(line) == name for line in markers) == pinned.count(name) for name in several)


@pytest.mark.parametrize("distribution", ["kilted", "jazzy"])
def test_every_wheel_of_ros_has_one_exact_version(distribution):
    """`make setup` offers either set: exact, with every message package, and with the same tools to build ours."""
    pinned, kilted = (
        dict(line.split("==") for line in lines(REQUIREMENTS / f"ros-{name}.txt"))
        for name in (distribution, "kilted")
    )
    messages = {name for name in declared("video2act_ros") if name.endswith("_msgs")} - {"video2act_msgs"}
    assert {f"ros-{name.replace('_', '-')}" for name in messages} | {"ros-rclpy"} <= set(pinned)
    tools = {item for item in kilted.items() if not item[0].startswith("ros-")}
    assert tools == {item for item in pinned.items() if not item[0].startswith("ros-")}


def test_installations_built_against_numpy_1_get_numpy_1():
    """Message extensions and cv_bridge of Jazzy cannot be loaded beside NumPy 2."""
    found = [
        line for line in lines(REQUIREMENTS / "ros-installation.txt") if name_of(line) == "numpy" != line
    ]
    assert [line.split("==")[1][0] for line in found] == ["1"]


def test_both_packages_have_one_version():
    """package.xml of both packages and setup.py name the same version."""
    versions = {ElementTree.parse(path).findtext("version") for path in PACKAGE_XML.values()}
    in_setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert in_setup is not None
    assert versions == {in_setup[1]}


def test_the_supported_pythons_are_the_same_everywhere():
    """Doctor, set-up, package and README name one range of Python versions; the workflow tests within it."""
    supported = [f"3.{minor}" for minor in range(PYTHON_FIRST[1], PYTHON_LAST[1] + 1)]
    first, last = supported[0], supported[-1]
    metadata = subprocess.run(
        [sys.executable, "setup.py", "--classifiers"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert re.findall(r"Python :: (3\.\d+)$", metadata.stdout, re.MULTILINE) == supported
    assert f'python_requires=">={first}"' in (ROOT / "setup.py").read_text()
    assert (
        f"{PYTHON_FIRST} <= sys.version_info[:2] <= {PYTHON_LAST}" in (ROOT / "scripts/setup.sh").read_text()
    )
    assert f"Python {first} to {last}" in (ROOT / "README.md").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = workflow["jobs"]["wheels"]["strategy"]["matrix"]["python"]
    assert set(tested) <= set(supported)


def test_colcon_runs_the_tests_with_pytest():
    """Without the dependency `colcon test` would take unittest and find nothing; e2e is not part of it."""
    assert 'extras_require={"test": ["pytest"]}' in (ROOT / "setup.py").read_text()
    assert 'testpaths = ["tests/unit", "tests/node", "tests/launch"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("messages", [False, True])
def test_colcon_stops_where_the_messages_are_missing(tmp_path, messages):
    """A clone in a `src/` of one's own is told the link that it lacks, and builds nothing half."""
    if messages:
        index = tmp_path / "share/ament_index/resource_index/packages"
        index.mkdir(parents=True)
        (index / "video2act_msgs").touch()
    result = subprocess.run(
        [sys.executable, "setup.py", "install", "--root", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        cwd=clone(tmp_path),
        env={**os.environ, "AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"},
    )
    link = f"ln -s clone/ros2_ws/src/video2act_msgs {tmp_path}/video2act_msgs"
    assert (result.returncode == 0) is messages, result.stderr
    assert (link in result.stderr) is not messages


def clone(folder: Path) -> Path:
    """Make a folder that holds what setup.py reads, and nothing more."""
    copy = folder / "clone"
    copy.mkdir()
    for name in ("setup.py", "setup.cfg", "package.xml"):
        shutil.copy(ROOT / name, copy)
    (copy / "resource").mkdir()
    (copy / "resource/video2act_ros").touch()
    return copy


def test_no_two_test_files_share_a_name():
    """`colcon test` collects all folders in one run, where launch_testing imports each file by its name alone."""
    names = []
    for path in (
        path for part in ("unit", "node", "launch") for path in (ROOT / "tests" / part).rglob("*.py")
    ):
        packages = [folder.name for folder in path.parents if (folder / "__init__.py").is_file()]
        if path.name not in ("__init__.py", "conftest.py"):
            names.append(".".join([*reversed(packages), path.stem]))
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("module", ["launch_arguments", "launch_description"])
def test_launch_files_need_no_package_from_pip(module):
    """`ros2 launch` reads them with the system's Python, which does not see the virtual environment of the nodes."""
    if module == "launch_description":
        pytest.importorskip("launch_ros", reason="launch packages come with a ROS 2 installation only")
    code = (
        f"import sys, video2act_ros.ros.{module}\n"
        "print(*{name.split('.')[0] for name in sys.modules} & set(sys.argv[1].split()))"
    )
    pip = required(*ALL_FILES)
    modules = {name for name in imported_modules() if PYPI.get(name, name) in pip} - set(ROSDEP)
    result = subprocess.run(
        [sys.executable, "-c", code, " ".join(modules)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.split() == []


def test_compose_services_use_what_exists():
    """Arguments, their values and node names in compose.yaml are the stack's; launch refuses empty values."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    known = {argument.name: argument for argument in ARGUMENTS}
    for service in compose["services"].values():
        given = dict(part.split(":=", 1) for part in service["command"] if ":=" in part)
        assert all(given.values())
        for name, value in given.items():
            if name in known and known[name].choices:
                assert value in known[name].choices
        assert set(given) <= set(known)
        nodes = service["environment"].get("VIDEO2ACT_NODES", "").split()
        assert set(nodes) <= {spec.name for spec in REAL_ROBOT}
