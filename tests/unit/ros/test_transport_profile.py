"""A user's transport profile keeps everything but its shared memory."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from video2act_ros.ros import environment
from video2act_ros.ros.transport_profile import file_in_memory, without_shared_memory

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<dds xmlns="http://www.eprosima.com"><profiles>{}</profiles></dds>'
PEER = "<locator><udpv4><address>10.0.0.2</address></udpv4></locator>"
PEERS = f"<builtin><initialPeersList>{PEER}</initialPeersList></builtin>"


def transports(text):
    """Return how each participant's transports are named, and the type of each transport."""
    root = ElementTree.fromstring(text)
    types = {
        item.findtext("transport_id"): item.findtext("type") for item in root.iter("transport_descriptor")
    }
    found = []
    for participant in root.iter("participant"):
        assert participant.findtext("rtps/useBuiltinTransports") == "false"
        assert participant.find("rtps/builtinTransports") is None
        found.append([types[item.text] for item in participant.find("rtps/userTransports")])
    return found


def profile(descriptors, rtps):
    given = "".join(
        f"<transport_descriptor><transport_id>{name}</transport_id><type>{kind}</type></transport_descriptor>"
        for name, kind in descriptors.items()
    )
    participant = (
        f'<participant profile_name="mine" is_default_profile="true"><rtps>{rtps}</rtps></participant>'
    )
    return HEAD.format(f"<transport_descriptors>{given}</transport_descriptors>{participant}")


def user_transports(*names):
    return f"<userTransports>{''.join(f'<transport_id>{name}</transport_id>' for name in names)}</userTransports>"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (profile({"a": "SHM", "b": "UDPv4"}, user_transports("a", "b")), ["UDPv4"]),
        (profile({"a": "SHM", "b": "TCPv4"}, user_transports("a", "b")), ["TCPv4"]),
        (profile({"a": " SHM ", "b": "UDPv4"}, user_transports(" a ")), ["UDPv4"]),
        (
            profile(
                {"a": "UDPv6"}, "<useBuiltinTransports>true</useBuiltinTransports>" + user_transports("a")
            ),
            ["UDPv6"],
        ),
        (profile({}, "<builtinTransports>LARGE_DATA</builtinTransports>"), ["UDPv4"]),
        (HEAD.format('<participant profile_name="mine" is_default_profile="true"/>'), ["UDPv4"]),
        (HEAD.format(""), ["UDPv4"]),
        ('<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"/>', ["UDPv4"]),
    ],
)
def test_shared_memory_gives_way_to_what_else_there_is_or_the_network(text, kinds):
    """Named, or among the built-in transports, which every participant has unless its profile says no."""
    assert transports(without_shared_memory(text)) == [kinds]


def test_all_else_stays():
    """Peers, interfaces, names."""
    text = without_shared_memory(profile({"a": "SHM", "b": "UDPv4"}, PEERS + user_transports("a", "b")))
    root = ElementTree.fromstring(text)
    assert root.findtext(".//initialPeersList/locator/udpv4/address") == "10.0.0.2"
    assert root.find(".//participant").attrib == {"profile_name": "mine", "is_default_profile": "true"}
    assert "xmlns" not in text


@pytest.mark.parametrize(
    "file", sorted((environment.share_path() / "config").glob("*.xml")), ids=lambda path: path.name
)
def test_our_own_profiles_keep_their_network(file):
    """Those of the package are examples of a user's."""
    assert transports(without_shared_memory(file.read_text())) == [["UDPv4"]]


def test_the_file_needs_no_disk():
    """It is read as any other."""
    path = Path(file_in_memory("<dds/>"))
    assert path.read_text() == path.read_text() == "<dds/>"
