"""What stands in for System 1 where there is no policy, and what everybody says then."""

from __future__ import annotations

SAFE_SOURCE = "safe_source"
"""Name of the node, and what its chunks and its bundle status name in the place of a bundle."""

SAFE_SOURCE_WORDS = "no policy: the built-in safe source moves every joint a little around its start pose"
"""Said in the run state, whatever the state."""

MOCK_IMAGES_WORDS = (
    "the mock cameras show bars and nothing that a policy was trained on: what it does here tells nothing about it; "
    "leave the bundle out for small safe motions"
)
"""Said where a policy runs on the mock driver's images."""
