"""Names of others stay inside their folder, as written and where links lead."""

import pytest

from video2act_ros.core.confined import is_inside, is_plain_name


@pytest.mark.parametrize("name", ["a", "a/b.c", "..a", "a..b", "./a"])
def test_plain_names_stay_below_their_folder(name):
    """Dots in a name are no way out."""
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "../a", "a/../../b", "a/..", "//a", "a\0b"])
def test_other_names_do_not(name):
    """Absolute, climbing or empty ones."""
    assert not is_plain_name(name)


def test_links_are_followed_before_a_path_counts_as_inside(tmp_path):
    """A link inside may lead outside; a folder that is reached by a link is itself."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    assert is_inside(inside / "new" / "file", [inside])
    assert is_inside(outside / "back" / "file", [outside / "nothing", inside])
    assert not is_inside(inside / "link" / "file", [inside])
    assert not is_inside(inside / ".." / "outside", [inside])
    assert not is_inside(tmp_path / "inside2", [inside])
