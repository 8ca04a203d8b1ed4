"""That no policy moves the arm is said in every state, and no longer once a policy runs."""

import numpy as np

from video2act_ros.core.safe_source import SAFE_SOURCE, SAFE_SOURCE_WORDS
from video2act_ros.core.types import RunMode


def test_every_state_says_that_no_policy_moves_the_arm(bench):
    """Idle, shadow, engaged, holding and fault; beside the state's own reason."""
    bench.loop.on_bundle("system1", SAFE_SOURCE, bench.now_ns)
    seen = {bench.mode: bench.reason}
    bench.tick()
    bench.chunk(np.zeros(30), bundle_id=SAFE_SOURCE)
    assert bench.loop.engage(bench.now_ns) == ()
    seen[bench.mode] = bench.reason
    bench.chunk(np.zeros(30), bundle_id=SAFE_SOURCE)
    bench.tick()
    seen[bench.mode] = bench.reason
    bench.loop.fault("the wrist is on fire")
    seen[bench.mode] = bench.reason
    bench.loop.stop()
    seen[bench.mode] = bench.reason
    assert set(seen) == set(RunMode)
    assert all(reason.endswith(SAFE_SOURCE_WORDS) for reason in seen.values()), seen
    assert seen[RunMode.FAULT] == f"the wrist is on fire; {SAFE_SOURCE_WORDS}"
    assert seen[RunMode.ENGAGED] == SAFE_SOURCE_WORDS


def test_chunks_alone_tell_it_too(bench):
    """Where the status of the source has not come yet."""
    bench.tick()
    bench.chunk(np.zeros(30), bundle_id=SAFE_SOURCE)
    assert SAFE_SOURCE_WORDS in bench.reason


def test_it_ends_with_the_first_bundle(bench):
    """Also the other way round: a policy that is replaced by the source."""
    for bundle, said in ((SAFE_SOURCE, True), ("policy", False), (SAFE_SOURCE, True)):
        bench.loop.on_bundle("system1", bundle, bench.now_ns)
        assert (SAFE_SOURCE_WORDS in bench.reason) is said
    bench.loop.on_bundle("system2", SAFE_SOURCE, bench.now_ns)
    bench.loop.on_bundle("system1", "policy", bench.now_ns)
    assert SAFE_SOURCE_WORDS not in bench.reason
