"""The command line as a whole."""

import os
import subprocess
import sys

from video2act_ros.cli import URGENT
from video2act_ros.cli.commands import COMMANDS, GROUPS

HEAVY = (
    "torch",
    "rclpy",
    "mujoco",
    "cv2",
    "diffusers",
    "transformers",
    "onnxruntime",
    "pydantic",
    "yaml",
    "scipy",
)


def run(*words):
    plain = {"COLUMNS": "110", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    environ = {
        key: value for key, value in os.environ.items() if key not in ("GITHUB_ACTIONS", "FORCE_COLOR")
    }
    command = [sys.executable, "-m", "video2act_ros.cli", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environ | plain)


def test_help_lists_every_command_in_one_order():
    """What `--help` shows is the table of commands, then the groups."""
    result = run("--help")
    assert result.returncode == 0, result.stderr
    shown = [
        line.split()[1] for line in result.stdout.splitlines() if line[:2] == "│ " and line[2] not in " -"
    ]
    assert shown == [*COMMANDS, *GROUPS]


def test_the_command_line_loads_no_heavy_library():
    """`--help` and errors come at once: what takes long to import is imported by the command that needs it."""
    code = "import sys, video2act_ros.cli; print(*{name.split('.')[0] for name in sys.modules} & set(sys.argv[1:]))"
    result = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_an_expected_error_is_one_line_and_status_1():
    """No traceback for what a user can mend, and square brackets of the text stay."""
    result = run("check-arguments", "robot[1]")
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "robot[1]" in line


def test_what_an_operator_asks_of_a_stack_is_urgent_from_the_first_import_on():
    """On a machine that others keep busy a stop must not wait for them; nothing that computes gets that class."""
    code = "import os, sys; import video2act_ros.cli; print(os.sched_getscheduler(0) == os.SCHED_FIFO)"
    asked = "from video2act_ros.core.priority import run_at_once; print(run_at_once(1))"

    def as_a_shell():  # whatever class the tests' own process has
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def python(*words):
        command = [sys.executable, "-c", *words]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True, preexec_fn=as_a_shell
        ).stdout.strip()

    permitted = "True" if python(asked) == "SCHED_FIFO 1" else "False"
    assert set(COMMANDS) > URGENT
    assert {python(code, command) for command in URGENT} == {permitted}
    assert {python(code, command) for command in ("demo", "train", "faults")} == {"False"}
