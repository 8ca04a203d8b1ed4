"""A user's transport profile for Fast DDS, without the shared memory in it."""

from __future__ import annotations

import os
from xml.etree import ElementTree

SHARED_MEMORY = "SHM"
_OWN_NETWORK = "video2act_network"


def without_shared_memory(text: str) -> str:
    """Return a profile that uses the network where `text` uses shared memory; all else stays.

    Fast DDS's built-in transports include shared memory. Where participants use those, or have none left, they get
    one of UDPv4.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # Fast DDS reads no prefixes
    removed = {
        (descriptor.findtext("transport_id") or "").strip()
        for descriptor in root.iter("transport_descriptor")
        if (descriptor.findtext("type") or "").strip() == SHARED_MEMORY
    }
    profiles = next(root.iter("profiles"), root)
    if profiles.find("participant") is None:
        ElementTree.SubElement(profiles, "participant", profile_name=_OWN_NETWORK, is_default_profile="true")
    restricted = [_restrict(participant, removed) for participant in root.iter("participant")]
    if any(restricted):
        descriptors = profiles.find("transport_descriptors")
        if descriptors is None:
            descriptors = ElementTree.Element("transport_descriptors")
            profiles.insert(0, descriptors)
        descriptor = ElementTree.SubElement(descriptors, "transport_descriptor")
        ElementTree.SubElement(descriptor, "transport_id").text = _OWN_NETWORK
        ElementTree.SubElement(descriptor, "type").text = "UDPv4"
    return ElementTree.tostring(root, encoding="unicode")


def _restrict(participant: ElementTree.Element, removed: set[str]) -> bool:
    """Take shared memory and the built-in transports from a participant; return whether it got our network's."""
    rtps = participant.find("rtps")
    if rtps is None:
        rtps = ElementTree.SubElement(participant, "rtps")
    for name in ("useBuiltinTransports", "builtinTransports"):
        for element in rtps.findall(name):
            rtps.remove(element)
    ElementTree.SubElement(rtps, "useBuiltinTransports").text = "false"
    transports = rtps.find("userTransports")
    if transports is None:
        transports = ElementTree.SubElement(rtps, "userTransports")
    for element in list(transports):
        if (element.text or "").strip() in removed:
            transports.remove(element)
    if len(transports):
        return False
    ElementTree.SubElement(transports, "transport_id").text = _OWN_NETWORK
    return True


def file_in_memory(text: str) -> str:
    """Return the path of a file with that text that needs no disk; it lasts as long as this process."""
    descriptor = os.memfd_create("transport_profile")
    os.write(descriptor, text.encode())
    return f"/proc/self/fd/{descriptor}"
