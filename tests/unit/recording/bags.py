"""Messages and bags that the tests of recording share."""

from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from video2act_ros.recording.writing.bag_records import OfferedQos, RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.bag_writer import BagWriter

STORE = get_typestore(Stores.LATEST)
TEXT = RecordedTopic("/instruction", "std_msgs/msg/String")
LATCHED = RecordedTopic("/known", "std_msgs/msg/String", (OfferedQos(durability="transient_local"),))
STATE = RecordedTopic("/run_state", "video2act_msgs/msg/RunState")
PARAMETERS = RecordedTopic("/parameter_events", "rcl_interfaces/msg/ParameterEvent")
SECOND = 10**9


def text(index, size=10, topic=TEXT, at_ns=None, state_of=b""):
    """A message that carries its number."""
    string = STORE.types["std_msgs/msg/String"](data=f"{index}:".ljust(size, "x"))
    data = bytes(STORE.serialize_cdr(string, "std_msgs/msg/String"))
    log_ns = SECOND + index if at_ns is None else at_ns
    return RecordedMessage(topic, log_ns, log_ns - 1, data, index, state_of)


def number(data):
    return int(STORE.deserialize_cdr(data, "std_msgs/msg/String").data.split(":")[0])


def write(folder, messages, compression="none", notes=()):
    writer = BagWriter(folder, compression)
    for name, fields in notes:
        writer.note(name, fields)
    for message in messages:
        writer.write(message)
    writer.close()
    return storage(folder)


def storage(folder):
    (file,) = folder.glob("*.mcap")
    return file


def read(path):
    """Every message of a bag as (topic, time, bytes), read by the rosbags library."""
    with AnyReader([path], default_typestore=STORE) as reader:
        return [(item.topic, time_ns, bytes(data)) for item, time_ns, data in reader.messages()]


def metadata_records(file):
    with file.open("rb") as stream:
        return [(record.name, record.metadata) for record in make_reader(stream).iter_metadata()]
