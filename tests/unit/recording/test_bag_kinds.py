"""Every kind of bag that recorders write gives what the plain one gives: to the reader, to exact replay, to exports."""

import pytest
from bag_kinds import KINDS, rewrite
from lockstep import record
from made_bags import MadeBag

from video2act_ros.core.errors import BagError
from video2act_ros.recording.datasets.dataset_episodes import ExportOptions
from video2act_ros.recording.datasets.export_lerobot import export_lerobot
from video2act_ros.recording.exact.exact import ReplayOptions, exact_replay
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.writing.bag_metadata import natural_order

FOREIGN = {"/things", "/odd", "/bare"}


def content(folder):
    """Everything in a bag that is the stack's own."""
    with open_bag(folder) as bag:
        rows = [
            (raw.topic, raw.time_ns, raw.type, raw.data)
            for raw in bag.raw_messages()
            if raw.topic not in FOREIGN
        ]
        counts = {name: topic.count for name, topic in bag.topics.items() if name not in FOREIGN}
        bounds = (bag.start_ns, bag.end_ns)
    times = [row[1] for row in rows]
    assert times == sorted(times)
    return sorted(rows), counts, bounds


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A short recording, whole: chosen so that every kind of it is read in no time."""
    bag = MadeBag().cameras(0, 0.5).joints(0, 0.5).commands(0, 0.5).run_states(0, 0.5).success(0.4)
    return bag.write(tmp_path_factory.mktemp("plain") / "bag")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_messages(tmp_path, plain, kind):
    """Same bytes, types and times, in the order of time, with the same counts."""
    assert content(rewrite(plain, tmp_path / "bag", kind)) == content(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_every_kind_is_found(tmp_path, plain, kind):
    """Only some topics, only some time: what a search by the index must not miss."""
    topics, window = ["/commands", "/run_state"], (1_700_000_000_100_000_000, 1_700_000_000_200_000_000)

    def part(folder):
        with open_bag(folder) as bag:
            return sorted((raw.topic, raw.time_ns) for raw in bag.raw_messages(topics, *window))

    found = part(rewrite(plain, tmp_path / "bag", kind))
    assert found == part(plain)
    assert len(found) == 6


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("split", "with"))])
def test_a_file_of_every_kind_is_read_without_its_folder(tmp_path, plain, kind):
    """What is in a file is told by the file."""
    folder = rewrite(plain, tmp_path / "bag", kind)
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    assert content(file) == content(plain)


@pytest.mark.parametrize(
    "kind", ["unchunked, out of order", "split into 12", "reindexed", "compressed messages"]
)
def test_kinds_replay_bit_by_bit(tmp_path, robot_profile, bundle, kind):
    """Exact replay does not care how a bag was written."""
    folder = rewrite(record(tmp_path / "plain", robot_profile, bundle, 1.0), tmp_path / "bag", kind)
    report = exact_replay(ReplayOptions(folder, robot_profile, (bundle.parent,)))
    assert report["first_differing_stage"] is None
    assert report["chunks"] > 2


@pytest.mark.parametrize("kind", ["without message index", "compressed file", "sqlite3, compressed messages"])
def test_kinds_are_exported(tmp_path, robot_profile, plain, kind):
    """As the plain bag is."""
    folder = rewrite(plain, tmp_path / "bag", kind)
    options = ExportOptions(bags=(folder,), profile=robot_profile, rate_hz=10)
    report = export_lerobot(options, tmp_path / "dataset")
    assert (report.episodes, report.frames, report.skipped) == (1, 5, [])


@pytest.mark.parametrize(
    "kind", ["without summary", "unchunked", "compressed file", "sqlite3", "split, overlapping"]
)
@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_truncated_file_of_any_kind_is_refused(tmp_path, plain, kind, share):
    """Nothing of a file whose end is missing is taken for the whole."""
    folder = rewrite(plain, tmp_path / "bag", kind)
    file = max((path for path in folder.iterdir() if path.name != "metadata.yaml"), key=natural_order)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BagError, match="truncated or damaged"), open_bag(folder) as bag:
        list(bag.raw_messages())


def test_a_missing_file_of_a_split_bag_is_named(tmp_path, plain):
    """It would be a hole in the middle."""
    folder = rewrite(plain, tmp_path / "bag", "split into 12")
    (folder / "bag_7.mcap").unlink()
    with (
        pytest.raises(BagError, match=r"lacks its file bag_7\.mcap; copy the whole folder again"),
        open_bag(folder),
    ):
        pass
