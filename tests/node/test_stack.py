"""One list of nodes for launch files, process runner and installed executables."""

import importlib
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from video2act_ros.core.config import CommandConfig, NodeConfig
from video2act_ros.core.errors import ConfigurationError, Video2ActError
from video2act_ros.ros import environment, qos
from video2act_ros.ros.argument_values import check_values
from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.launch_arguments import ARGUMENTS, arguments_of, check_arguments
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import (
    COMMAND,
    MOCK,
    MOCK_DRIVER,
    REAL_ROBOT,
    RECORDER,
    REPLAY,
    REPLAY_NODE,
    SAFE_SOURCE,
    SIM,
    SIM_ROBOT,
    SYSTEM2,
)
from video2act_ros.ros.stack_parameters import default_parameters, overrides, parameter_file


class ManagedCommand(ManagedNode):
    CONFIG = CommandConfig


TIMEOUT_S = 120.0  # three processes that import the model libraries on a busy machine
ROOT = Path(__file__).parents[2]
ALL = (*SIM, SAFE_SOURCE, MOCK_DRIVER, RECORDER, REPLAY_NODE)


def test_every_key_of_the_parameter_file_exists_in_the_schema():
    """YAML only overrides: unknown keys, nodes or values out of range are mistakes."""
    content = yaml.safe_load(default_parameters().read_text())
    specs = {f"/**/{spec.name}": spec for spec in ALL}
    assert set(content) == set(specs)
    for key, section in content.items():
        assert set(section) == {"ros__parameters"}
        config = specs[key].config(**section["ros__parameters"])
        assert isinstance(config, NodeConfig)


def test_every_key_of_the_parameter_file_has_its_default_and_type():
    """The file shows what the schema says, so that neither can drift."""
    content = yaml.safe_load(default_parameters().read_text())
    for spec in ALL:
        defaults = spec.config()
        for name, value in content[f"/**/{spec.name}"]["ros__parameters"].items():
            assert value == getattr(defaults, name), (spec.name, name)
            assert type(value) is type(getattr(defaults, name)), (spec.name, name)


def test_every_launch_argument_sets_parameters_that_exist():
    """Arguments never name a parameter that no node has."""
    configs = {spec.name: spec.config for spec in ALL}
    for argument in (*arguments_of(SIM), *arguments_of(REPLAY)):
        for node, parameter in argument.parameters:
            if parameter != "use_sim_time":
                assert parameter in configs[node].parameters(), (argument.name, node)
            if parameter not in ("use_sim_time", "publish_clock") and argument.default:
                assert argument.value(argument.default) == getattr(configs[node](), parameter)


def test_the_arguments_are_those_of_the_documentation():
    """Names that users type do not change by accident."""
    assert [argument.name for argument in ARGUMENTS] == [
        "namespace",
        "robot",
        "system1_bundle",
        "system2_bundle",
        "bundle_folders",
        "instruction",
        "params_file",
        "record",
        "use_sim_time",
        "control",
        "machine",
        "log_level",
    ]


def test_a_part_of_the_stack_that_does_not_exist_is_refused():
    """With the known ones; and the recorder is asked for where it runs."""
    with pytest.raises(ConfigurationError, match=r"'moon'.*all, robot, gpu_host"):
        check_arguments(SIM, {"machine": "moon"})
    with pytest.raises(ConfigurationError, match="on the robot's computer"):
        check_arguments(SIM, {"machine": "gpu_host", "record": "true"})


@pytest.mark.parametrize(
    "given",
    [
        {"system2_bundle": "aloha_lift"},
        {"instruction": "lift"},
        {"control": "in_process"},
        {"machine": "gpu_host"},
    ],
)
def test_what_needs_a_policy_is_refused_where_a_mock_stack_has_none(given):
    """By the names of the arguments; beside a bundle, and in other stacks, they are taken."""
    with pytest.raises(ConfigurationError, match=f"{next(iter(given))} .*give system1_bundle"):
        check_arguments(MOCK, given)
    check_arguments(MOCK, given | {"system1_bundle": "aloha_lift"})
    check_arguments(REAL_ROBOT, given)


def test_a_mock_stack_without_a_bundle_fits_every_shipped_robot():
    """Nothing about a bundle is judged; with a bundle of another robot it is refused as before."""
    for path in (ROOT / "config" / "robots").glob("*.yaml"):
        check_values(MOCK, {"robot": path.stem})
    with pytest.raises(Video2ActError, match="14 joints"):
        check_values(MOCK, {"robot": "franka_fr3", "system1_bundle": "aloha_lift"})


def test_every_node_is_installed_as_an_executable():
    """setup.py lists the nodes once more, because it may import nothing."""
    listed = re.search(r"^NODES = \((.*?)\)", (ROOT / "setup.py").read_text(), re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed[1])) == {spec.executable for spec in ALL}
    for spec in ALL:
        assert callable(importlib.import_module(spec.module).main)


def test_another_program_can_run_in_a_nodes_place(tmp_path):
    """It keeps the node's name, parameters and id, and the place in the stack's list."""
    other = replace(COMMAND, program="faulty_command_node")
    assert other == COMMAND
    assert importlib.import_module(other.module).FaultyCommandNode.CONFIG is COMMAND.config
    line = StackRunner((other,), {}, tmp_path).command(other, tmp_path / "parameters.yaml")
    assert "video2act_ros.nodes.faulty_command_node" in line


def test_overrides_reach_the_nodes_that_an_argument_names():
    """Both bundles, the robot and the clock go where they belong; absent nodes get nothing."""
    given = {"robot": "agilex", "system2_bundle": "big", "use_sim_time": "true"}
    content = overrides(SIM, given)
    assert content["/**/system2"]["ros__parameters"] == {
        "robot": "agilex",
        "bundle": "big",
        "use_sim_time": True,
    }
    assert content["/**/sim_robot"]["ros__parameters"] == {"robot": "agilex", "publish_clock": True}
    assert "/**/sim_robot" not in overrides(REAL_ROBOT, given)
    assert overrides(SIM, {"record": "bag"})["/**/recorder"]["ros__parameters"] == {"bag": "bag"}


def test_only_processes_wait_for_a_lifecycle_manager():
    """Launch configures and activates them; the command node inside System 1's is brought up by that one."""

    def autostart(**given):
        content = overrides(SIM, given, managed=True)
        return {name: section["ros__parameters"].get("autostart") for name, section in content.items()}

    assert autostart() == {f"/**/{spec.name}": False for spec in SIM}
    assert autostart(record="bag")["/**/recorder"] is False
    assert "/**/command" not in autostart(control="in_process")
    assert all("autostart" not in s["ros__parameters"] for s in overrides(SIM, {"robot": "x"}).values())


@pytest.mark.parametrize(
    "text", ["yes", "y", "1.0", "1e3", "nan", "null", "put it: there", "'a' \"b\" # c", "größer", ""]
)
def test_an_argument_that_looks_like_yaml_arrives_as_a_string(context, tmp_path, text):
    """ROS reads numbers and booleans where YAML's own rules see none; only quotes keep a string."""
    file = tmp_path / "parameters.yaml"
    file.write_text(parameter_file({"/**/command": {"ros__parameters": {"instruction": text}}}))
    arguments = ["--ros-args", "--params-file", str(file)]
    node = ManagedCommand(context=context, cli_args=arguments)
    assert node.config.instruction == text
    node.destroy_node()


def test_nobody_can_let_a_replay_drive():
    """The bag's clock, a command node that moves no arm, and no second one in System 1's process."""
    content = overrides(REPLAY, {"bag": "run"})
    assert content["/**/command"]["ros__parameters"]["replay"] is True
    assert content["/**/system1"]["ros__parameters"]["control"] == "separate"
    clocks = {name: section["ros__parameters"]["use_sim_time"] for name, section in content.items()}
    assert clocks == {"/**/system2": True, "/**/system1": True, "/**/command": True, "/**/replay": False}
    for name in ("control", "use_sim_time"):
        with pytest.raises(ConfigurationError, match=f"unknown launch argument '{name}'"):
            overrides(REPLAY, {name: "true"})
    assert Deployment(REPLAY, record="true").processes == (*REPLAY, RECORDER)
    for specs in (REAL_ROBOT, SIM):
        assert "replay" not in overrides(specs, {"robot": "x"})["/**/command"]["ros__parameters"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"robbot": "x"}, "unknown launch argument 'robbot'; choose one of: namespace, robot"),
        ({"task": "lift"}, "unknown launch argument 'task'"),
        ({"control": "both"}, "choose one of: separate, in_process"),
        ({"system2_bundle": "dance"}, "unknown bundle 'dance'; choose one of: aloha_lift"),
        ({"instruction": "dance"}, "unknown instruction 'dance'; this bundle knows: lift"),
        ({"robot": "agilex_cobot_magic"}, "only the bundle has left_waist"),
        ({"namespace": "left arm"}, "namespace 'left arm' is no ROS name"),
        ({"params_file": "nowhere.yaml"}, "params_file 'nowhere.yaml' is no file"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, given, words):
    """Before anything is started, with the valid choices."""
    with pytest.raises(Video2ActError, match=words):
        StackRunner(REAL_ROBOT, given, tmp_path)


def test_an_octal_number_in_a_parameter_file_is_refused_with_its_line(tmp_path):
    """ROS reads 0300 as 192, too; what stands there for other nodes is theirs."""
    path = tmp_path / "own.yaml"
    path.write_text("/**/command:\n  ros__parameters:\n    bridge_s: 0010\n")
    with pytest.raises(ConfigurationError, match=r"own.yaml:3: .*bridge_s: 0010 means 8"):
        StackRunner(REAL_ROBOT, {"params_file": str(path)}, tmp_path)
    path.write_text("/**/camera:\n  ros__parameters:\n    vendor: 0x1F\n")
    StackRunner(REAL_ROBOT, {"params_file": str(path)}, tmp_path)


@pytest.mark.parametrize("control", ["separate", "in_process"])
def test_a_second_stack_in_one_domain_and_namespace_is_refused(monkeypatch, context, tmp_path, control):
    """Before it starts anything, whichever process holds the node; in another namespace it may run."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(context.get_domain_id()))
    running = ManagedCommand(context=context, cli_args=["--ros-args", "-r", "__ns:=/left"])
    given = {"namespace": "left", "control": control}
    with pytest.raises(ConfigurationError, match="node /left/command runs already"):
        StackRunner(REAL_ROBOT, given, tmp_path / "logs").start()
    assert not (tmp_path / "logs").exists()
    assert "/command" in Deployment(REAL_ROBOT, control).full_names
    assert "/right/arm/command" in Deployment(REAL_ROBOT, control, namespace="/right/arm/").full_names
    running.destroy_node()


def test_the_launch_files_start_the_same_nodes():
    """`ros2 launch` and the plain runner may not differ."""
    pytest.importorskip("launch_ros", reason="launch packages come with a ROS 2 installation only")
    from launch_ros.actions import Node as NodeAction

    from launch import LaunchContext

    for name, specs in (("real_robot", REAL_ROBOT), ("sim", SIM), ("mock", MOCK), ("replay", REPLAY)):
        path = ROOT / "launch" / f"{name}.launch.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        description = module.generate_launch_description()
        executables = [
            entity.node_executable for entity in description.entities if isinstance(entity, NodeAction)
        ]
        assert executables == [spec.executable for spec in (*specs, RECORDER)]
        declared = [argument.name for argument in description.get_launch_arguments()]
        assert declared == [argument.name for argument in arguments_of(specs)]
        assert LaunchContext() is not None


def test_a_launch_file_is_a_few_lines():
    """What the stack is stands in one place, not in the launch files."""
    for path in (ROOT / "launch").glob("*.launch.py"):
        assert len(path.read_text().splitlines()) <= 80


def wait_until_it_ends(runner):
    changed = threading.Condition()
    runner.watch(changed)
    with changed:
        assert changed.wait_for(lambda: runner.failed() is not None, TIMEOUT_S)
    return runner.failed()


def test_a_node_that_cannot_be_configured_ends_and_the_runner_says_why(tmp_path, bundle):
    """A damaged bundle is told at once, not after a time-out."""
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    (damaged / "system2.safetensors").write_bytes(b"broken")
    with StackRunner((SYSTEM2,), {"system2_bundle": str(damaged)}, tmp_path / "logs") as runner:
        failure = wait_until_it_ends(runner)
    assert "system2_node ended with status 1" in failure
    assert "cannot configure: bundle" in failure
    assert runner.running() == ()


def test_the_nodes_die_with_their_runner(tmp_path):
    """A killed terminal leaves no process that still moves the arm."""
    script = (
        "import sys; from pathlib import Path; from video2act_ros.ros.runner import StackRunner\n"
        "from video2act_ros.ros.stack import COMMAND\n"
        "runner = StackRunner((COMMAND,), {}, Path(sys.argv[1])); runner.start()\n"
        "print(runner.pid('command_node'), flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(process.stdout.readline())
    log = tmp_path / "command_node.log"
    ticking = threading.Event()
    deadline = threading.Timer(TIMEOUT_S, ticking.set)
    deadline.start()
    while not ticking.wait(0.05) and not has_handlers(pid):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    while not ticking.wait(0.05) and is_running(pid):
        pass
    deadline.cancel()
    assert not is_running(pid), log.read_text()


def has_handlers(pid):
    """Return whether the process has its own SIGTERM handler and the death signal set up."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def is_running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_files_are_found_by_name_or_path(tmp_path):
    """Profiles and bundles: a name, a path, or a refusal that lists the names."""
    assert environment.resolve_profile("aloha_sim").name == "aloha_sim.yaml"
    own = tmp_path / "own.yaml"
    own.write_text("")
    assert environment.resolve_profile(str(own)) == own
    with pytest.raises(
        ConfigurationError, match=r"unknown robot profile 'unicorn'; choose one of: .*aloha_sim"
    ):
        environment.resolve_profile("unicorn")


def test_what_stands_in_for_the_robot_stops_last():
    """It must see the arm brought to a hold."""
    assert SIM[-1] is SIM_ROBOT
    assert MOCK[-1] is MOCK_DRIVER


@pytest.mark.parametrize("control", ["separate", "in_process"])
def test_the_stack_comes_up_either_way_under_a_namespace(
    monkeypatch, context, spinner, bundle, robot, tmp_path, control
):
    """Control as a process of its own or in System 1's: the same nodes; all end by themselves when told."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(context.get_domain_id()))
    listener = spinner.add(Node("listener", namespace="left", context=context))
    changed, active = threading.Condition(), set()

    def keep(message):
        with changed:
            for status in message.status:
                if any((pair.key, pair.value) == ("lifecycle", "active") for pair in status.values):
                    active.add(status.name)
            changed.notify_all()

    listener.create_subscription(DiagnosticArray, "/diagnostics", keep, qos.DATA)
    given = {
        "namespace": "left",
        "robot": str(robot),
        "system1_bundle": str(bundle),
        "system2_bundle": str(bundle),
        "control": control,
    }
    nodes = {f"/left/{spec.name}" for spec in REAL_ROBOT}
    with StackRunner(REAL_ROBOT, given, tmp_path / "logs") as runner:
        runner.watch(changed)
        with changed:
            assert changed.wait_for(lambda: active >= nodes or runner.failed(), TIMEOUT_S), active
        assert runner.failed() is None
        assert ("command_node" in runner.running()) == (control == "separate")
    logs = {file.name: file.read_text()[-2000:] for file in (tmp_path / "logs").glob("*.log")}
    assert runner.statuses() == {spec.executable: 0 for spec in Deployment(REAL_ROBOT, control).processes}, (
        logs
    )
