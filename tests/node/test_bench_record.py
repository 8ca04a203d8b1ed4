"""The recorder's benchmark counts images in the bag and what a kill costs; a short run holds for the real one."""

import pytest

from video2act_ros.core.errors import BagError
from video2act_ros.nodes.bench_camera import frame_id, number_of
from video2act_ros.nodes.bench_record import RecordBenchOptions, run_bench_record


def options(folder, images="raw", kill=False):
    return RecordBenchOptions(1.5, images, 90, 1, 20.0, 64, 48, folder / "bag", kill)


@pytest.mark.parametrize("images", ["raw", "jpeg"])
def test_every_image_is_found_and_nothing_stays(tmp_path, images):
    """Published is recorded, and the bag is removed."""
    figures = run_bench_record(options(tmp_path, images))
    assert (figures["images_published"], figures["images_missing"]) == (30, 0)
    assert figures["payload_mb"] > 0
    assert not (tmp_path / "bag").exists()


def test_a_kill_costs_less_than_a_second(tmp_path):
    """The requirement, as the benchmark reports it."""
    figures = run_bench_record(options(tmp_path, kill=True))
    assert 0 <= figures["lost_s"] < 1
    assert figures["repaired_messages"] > 10


def test_numbers_are_read_from_the_header():
    """Eleven digits behind four bytes of CDR, eight of stamp and four of length."""
    assert number_of(bytes(16) + frame_id(42).encode() + b"\0rest") == 42


def test_an_existing_folder_is_refused(tmp_path):
    """Before anything starts; it would be removed afterwards."""
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="exists already"):
        run_bench_record(options(tmp_path))
    assert (tmp_path / "bag").is_dir()
