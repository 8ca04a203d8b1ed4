from pathlib import Path

import pytest

from video2act_ros.doctor import ros_checks as checks
from video2act_ros.doctor.findings import Level
from video2act_ros.ros import environment

SHARE = Path("/share")


def test_a_good_machine_has_no_complaints(machine):
    """Where all is granted, every line is ok."""
    assert {item.level for item in checks.check_ros(machine, SHARE)} == {Level.OK}


@pytest.mark.parametrize(
    ("module", "check"), [("rclpy", checks.check_installation), ("video2act_msgs", checks.check_messages)]
)
def test_missing_ros_parts_are_problems(machine, module, check):
    """Without rclpy or the messages no node starts."""
    machine.modules = machine.modules - {module}
    finding = check(machine)
    assert finding.level is Level.PROBLEM
    assert "make setup" in finding.remedy


def test_the_distribution_is_named(machine):
    """A sourced installation is told by its name, wheels by theirs."""
    machine.texts["/prefix/.ros"] = "wheels"
    assert "wheels" in checks.check_installation(machine).text
    machine.environ["ROS_DISTRO"] = "jazzy"
    assert "jazzy" in checks.check_installation(machine).text


def test_another_middleware_must_be_installed(machine):
    """A missing one is a problem; one of another kind is a warning, for the figures are not its own."""
    machine.environ |= {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", "AMENT_PREFIX_PATH": "/opt/ros/x"}
    assert checks.check_middleware(machine).level is Level.PROBLEM
    machine.texts["/opt/ros/x/share/rmw_cyclonedds_cpp/package.xml"] = ""
    assert checks.check_middleware(machine).level is Level.WARNING


@pytest.mark.parametrize(
    ("domain", "level"),
    [
        ("", Level.OK),
        ("101", Level.OK),
        ("102", Level.WARNING),
        ("232", Level.WARNING),
        ("233", Level.PROBLEM),
        ("-1", Level.PROBLEM),
        ("lab", Level.PROBLEM),
    ],
)
def test_domains(machine, domain, level):
    """Above 101 the ports may be taken, above 232 there are none."""
    machine.environ["ROS_DOMAIN_ID"] = domain
    assert checks.check_domain(machine).level is level


def test_small_shared_memory_is_warned_about_twice(machine):
    """Too small a /dev/shm is one warning, the profile that is therefore not used another."""
    machine.disk = (64 << 20, environment.SHARED_MEMORY_NEEDED_BYTES - 1)
    assert checks.check_shared_memory(machine).level is Level.WARNING
    assert checks.check_profile(machine, SHARE).level is Level.WARNING


@pytest.mark.parametrize("prefix", ["fastdds", "fastrtps"])
def test_segments_of_dead_processes_are_counted(machine, prefix):
    """A segment is alive while its lock is held; port locks and data files are not counted."""
    names = [
        f"{prefix}_{name}" for name in ("0123456789abcdef_el", "fedcba9876543210_el", "0123456789abcdef")
    ]
    machine.texts |= {f"/dev/shm/{name}": "" for name in (*names, f"{prefix}_port7411_el")}
    machine.locked = frozenset({names[0]})
    finding = checks.check_leftovers(machine)
    assert finding.level is Level.WARNING
    assert finding.text == "1 segments in use, 1 left by dead processes"
    assert f"/dev/shm/{prefix}_*" in finding.remedy


@pytest.mark.parametrize("variable", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_which_transport_profile_is_used(machine, variable):
    """A chosen profile is named, a missing file warned about, the package's own recognised."""
    machine.environ[variable] = "/mine.xml"
    assert checks.check_profile(machine, SHARE).level is Level.WARNING
    machine.texts["/mine.xml"] = "<dds/>"
    assert "chosen by you" in checks.check_profile(machine, SHARE).text
    machine.texts["/share/config/fastdds.xml"] = "<dds/>"
    assert checks.check_profile(machine, SHARE).text == "the package's fastdds.xml"


@pytest.mark.parametrize(
    ("part", "free_mb", "file"),
    [
        ("robot", 1024, "fastdds_two_machines.xml"),
        ("robot", 64, "fastdds_network.xml"),
        ("gpu_host", 64, "fastdds_network.xml"),
    ],
)
def test_with_two_machines_each_has_its_profile(machine, part, free_mb, file):
    """The robot's needs shared memory, the GPU host's none; a part that does not exist is refused with a list."""
    machine.environ["VIDEO2ACT_MACHINE"], machine.disk = part, (1 << 30, free_mb << 20)
    assert checks.check_profile(machine, SHARE).text == f"the package's {file}, set at process start"
    machine.environ["VIDEO2ACT_MACHINE"] = "moon"
    finding = checks.check_profile(machine, SHARE)
    assert finding.level is Level.PROBLEM
    assert "all, robot, gpu_host" in finding.remedy


def test_how_nodes_find_each_other(machine):
    """What the environment says, in words: a server goes before peers."""
    assert checks.check_discovery(machine).text == "by multicast"
    machine.environ["ROS_STATIC_PEERS"] = "10.0.0.2"
    assert checks.check_discovery(machine).text == "by multicast and at 10.0.0.2"
    machine.environ["ROS_DISCOVERY_SERVER"] = "10.0.0.1:11811"
    finding = checks.check_discovery(machine)
    assert finding.text.startswith("by the server 10.0.0.1:11811,")
    assert finding.level is Level.WARNING
    assert "ROS_STATIC_PEERS" in finding.remedy


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ({"lo": "0x9", "eth0": "0x1003"}, Level.OK),
        ({"lo": "0x9", "eth0": "0x1002"}, Level.WARNING),
        ({"lo": "0x8", "eth0": "0x1003"}, Level.PROBLEM),
    ],
)
def test_network(machine, flags, level):
    """Nodes need the loopback interface, and find each other by multicast on one that is up."""
    machine.texts |= {f"/sys/class/net/{name}/flags": value for name, value in flags.items()}
    assert checks.check_network(machine).level is level


def test_small_socket_buffers_are_warned_about(machine):
    """They matter for images from another machine; what cannot be read is not judged."""
    machine.texts["/proc/sys/net/core/rmem_max"] = "212992"
    assert checks.check_socket_buffers(machine).level is Level.WARNING
    del machine.texts["/proc/sys/net/core/rmem_max"]
    assert checks.check_socket_buffers(machine).level is Level.OK


def test_shared_memory_removed_under_running_processes_is_a_problem(machine):
    """Each process is named, with its cause and what keeps it from happening again."""
    assert checks.check_removed_files(machine).level is Level.OK
    machine.lost = {71: "camera_node", 72: "system1_node"}
    finding = checks.check_removed_files(machine)
    assert finding.level is Level.PROBLEM
    assert "camera_node (71), system1_node (72)" in finding.text
    assert "loginctl enable-linger" in finding.remedy
    assert "restart" in finding.remedy


@pytest.mark.parametrize(
    ("files", "level"),
    [
        ({}, Level.WARNING),
        ({"/etc/systemd/logind.conf": "[Login]\n#RemoveIPC=no"}, Level.WARNING),
        ({"/etc/systemd/logind.conf": "[Login]\nRemoveIPC = no"}, Level.OK),
        ({"/usr/lib/systemd/logind.conf": "RemoveIPC=no"}, Level.OK),
        ({"/usr/lib/systemd/logind.conf": "RemoveIPC=no", "/etc/systemd/logind.conf": ""}, Level.WARNING),
        (
            {
                "/etc/systemd/logind.conf": "RemoveIPC=yes",
                "/etc/systemd/logind.conf.d/robot.conf": "RemoveIPC=0",
            },
            Level.OK,
        ),
        (
            {
                "/usr/lib/systemd/logind.conf.d/10.conf": "RemoveIPC=no",
                "/etc/systemd/logind.conf.d/20.conf": "RemoveIPC=yes",
            },
            Level.WARNING,
        ),
        (
            {
                "/usr/lib/systemd/logind.conf.d/10.conf": "RemoveIPC=no",
                "/etc/systemd/logind.conf.d/10.conf": "",
            },
            Level.WARNING,
        ),
        ({"/var/lib/systemd/linger/robot": ""}, Level.OK),
        ({"/var/lib/systemd/linger/other": ""}, Level.WARNING),
    ],
)
def test_removal_of_shared_memory_at_log_out_is_warned_about(machine, files, level):
    """systemd's default; its main file, drop-ins and lingering count as systemd reads them."""
    machine.texts |= {
        "/proc/self/status": "Name:\tpython\nUid:\t1000\t1000\t1000\t1000",
        "/etc/passwd": "root:x:0:0::/root:/bin/sh\nrobot:x:1000:1000::/home/robot:/bin/sh",
        "/run/systemd/users/1000": "",
    } | files
    finding = checks.check_removal_at_logout(machine)
    assert finding.level is level
    if level is Level.WARNING:
        assert finding.remedy.startswith("loginctl enable-linger robot,")


@pytest.mark.parametrize(("user", "session"), [(0, 0), (999, 999), (1000, 1001)])
def test_shared_memory_of_system_users_and_without_a_session_stays(machine, user, session):
    """systemd-logind spares root and system users, and does nothing where nobody logs out."""
    machine.texts |= {"/proc/self/status": f"Uid:\t{user}\t{user}", f"/run/systemd/users/{session}": ""}
    assert checks.check_removal_at_logout(machine).level is Level.OK


def test_a_log_folder_that_cannot_be_written_is_warned_about(machine):
    """The nodes run without log files, and the remedy is the problem's own."""
    machine.environ["ROS_LOG_DIR"] = "/data/log"
    assert checks.check_log_folder(machine).text == "/data/log"
    machine.log_problem = "no log file can be made in /data/log (No space left); export ROS_LOG_DIR=FOLDER"
    finding = checks.check_log_folder(machine)
    assert finding.level is Level.WARNING
    assert finding.text.startswith("no log file can be made in /data/log (No space left)")
    assert finding.remedy == "export ROS_LOG_DIR=FOLDER"


def test_discovery_that_is_switched_off_is_a_problem(machine):
    """Then no two processes meet, not even those of one stack."""
    machine.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
    finding = checks.check_discovery(machine)
    assert finding.level is Level.PROBLEM
    assert "LOCALHOST" in finding.remedy
