import shutil

from video2act_ros.doctor import stack_checks as checks
from video2act_ros.doctor.findings import Level
from video2act_ros.ros import environment


def share_with_bundle(folder):
    models = folder / "models"
    models.mkdir()
    shutil.copytree(environment.resolve_bundle("aloha_lift"), models / "aloha_lift")
    return folder


def test_a_changed_bundle_file_is_a_problem(tmp_path):
    """Hashes that agree are ok; one changed byte names the file."""
    share = share_with_bundle(tmp_path)
    (finding,) = checks.check_bundles(share)
    assert finding.level is Level.OK
    with (share / "models" / "aloha_lift" / "system1.safetensors").open("ab") as file:
        file.write(b"x")
    (finding,) = checks.check_bundles(share)
    assert finding.level is Level.PROBLEM
    assert "system1.safetensors" in finding.text


def test_a_wrong_robot_profile_is_a_problem(tmp_path):
    """Each missing key is a finding with its line; the shipped profiles are valid."""
    assert {item.level for item in checks.check_profiles(environment.share_path())} == {Level.OK}
    folder = tmp_path / "config" / "robots"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n")
    findings = list(checks.check_profiles(tmp_path))
    assert {(finding.topic, finding.level) for finding in findings} == {("robot mine", Level.PROBLEM)}
    assert f"{folder / 'mine.yaml'}:1: joints: missing key" in findings[3].text
    assert len(findings) == 5


def test_nothing_installed_is_a_problem(tmp_path):
    """Without any bundle or profile the stack cannot start."""
    findings = [*checks.check_bundles(tmp_path), *checks.check_profiles(tmp_path)]
    assert [item.level for item in findings] == [Level.PROBLEM, Level.PROBLEM]


def test_a_real_robot_needs_no_rendering(machine):
    """Without OpenGL only the simulation suffers: a warning with the package to install."""
    machine.gl = None
    finding = checks.check_rendering(machine)
    assert finding.level is Level.WARNING
    assert "libosmesa6" in finding.remedy


def test_missing_torch_is_a_problem(machine):
    """Both systems run on it."""
    machine.modules = frozenset()
    assert checks.check_model_library(machine).level is Level.PROBLEM
