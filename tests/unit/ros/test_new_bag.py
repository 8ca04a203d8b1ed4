"""A bag that cannot be begun is refused before any process starts."""

import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros.launch_arguments import check_new_bag
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import LAUNCH_FILES


def test_an_existing_folder_is_refused(tmp_path):
    """With the name of the argument and the remedy; words that name no folder, and new ones, pass."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"record: .* exists already; a bag needs a new folder"):
        check_new_bag({"record": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"record: .* a part of the path is a file"):
        check_new_bag({"record": str(tmp_path / "file" / "bag")})
    for passes in ("", "true", "standby", str(tmp_path / "new")):
        check_new_bag({"record": passes})
    check_new_bag({})


def test_a_stack_is_not_even_made(tmp_path):
    """Whoever starts it by processes."""
    with pytest.raises(ConfigurationError, match="record: "):
        StackRunner(LAUNCH_FILES["sim"], {"record": str(tmp_path)}, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
