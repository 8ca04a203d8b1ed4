"""Files appear whole or not at all."""

import json

import pytest

from video2act_ros.core.whole_files import whole_file, write_json


def write_half(path):
    with whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError("disk")


def test_a_file_is_replaced_only_once_the_new_one_is_whole(tmp_path):
    """A failure on the way leaves the old content, and nothing beside it."""
    path = tmp_path / "new" / "report.json"
    write_json(path, {"robot": "größer"})
    with pytest.raises(RuntimeError, match="disk"):
        write_half(path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"robot": "größer"}
    assert list(path.parent.iterdir()) == [path]


def test_a_report_goes_through_a_link(tmp_path):
    """`--json /dev/stdout` writes there; root would replace the device by a file."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    write_json(link, [1])
    assert link.is_symlink()
    assert json.loads(target.read_text()) == [1]
