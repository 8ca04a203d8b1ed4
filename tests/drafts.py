"""What somebody does with a draft of a robot profile: fill in what it asks."""

import re

_START = re.compile(r"(position_min: (?P<low>[-.\d]+), position_max: (?P<high>[-.\d]+),.*, start: )(?=[,}])")


def fill_in(text, **answers):
    """Return a draft with each start at the value closest to zero, and with `answers`: joint_states, topic, …"""
    lines = [_START.sub(_with_start, line) for line in text.splitlines()]
    for key, answer in answers.items():
        empty = re.compile(rf"(\b{key}: )(?=[,}}]| *#|$)")
        at = next(index for index, line in enumerate(lines) if empty.search(line))
        lines[at] = empty.sub(rf"\g<1>{answer}", lines[at], count=1)
    return "\n".join([*lines, ""])


def _with_start(match):
    return f"{match[1]}{min(max(0.0, float(match['low'])), float(match['high']))}"
