"""A process asks to run before others: every thread, its own session alone, and no error where that is refused."""

import os
import subprocess
import sys
import threading

import pytest

from video2act_ros.core.priority import prefer_process, raise_scheduling_class

PROBE = """
import os, sys, threading
from video2act_ros.core.priority import prefer_process
if os.getuid() == 0 and "ordinary" in sys.argv:
    os.setuid(65534)
done = threading.Event()
threading.Thread(target=done.wait, daemon=True).start()
print(prefer_process(int(sys.argv[1])))
threading.Thread(target=done.wait, daemon=True).start()
print({os.getpriority(os.PRIO_PROCESS, int(name)) for name in os.listdir("/proc/self/task")})
group = "/proc/self/autogroup"
words = open(group).read().split() if os.path.exists(group) else []
print(words[-1] if words else "none")
done.set()
"""


def probe(*arguments, **options):
    command = [sys.executable, "-c", PROBE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout.splitlines()


def test_every_thread_gets_the_value_and_hands_it_on():
    """Threads that exist, as those of a transport do, and threads that come later."""
    assert probe("5")[:2] == ["nice 5", "{5}"]


def test_a_session_of_its_own_gets_the_value_too():
    """Else Linux would weigh the threads within their session only; a session shared with others stays as it is.

    A kernel without that sharing has no such file or an empty one.
    """
    own, shared = probe("0", start_new_session=True)[2], probe("0")[2]
    assert probe("5", start_new_session=True)[2] == ("none" if own == "none" else "5")
    assert probe("5")[2] == shared


def test_zero_changes_nothing():
    """Not even where the process was started with another value."""
    assert probe("0", preexec_fn=lambda: os.nice(3))[:2] == ["nice 0", "{3}"]
    assert prefer_process(0) == "nice 0"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")
def test_what_is_refused_is_told_and_borne():
    """Without the permission the process stays as it is and says what to grant."""
    text, values, _ = probe("-7", "ordinary")
    assert text == "nice -7 refused: Permission denied; grant CAP_SYS_NICE or a nice limit"
    assert values == "{0}"


CLASSES = """
import os, subprocess, sys, threading
from video2act_ros.core.priority import run_at_once
done = threading.Event()
threading.Thread(target=done.wait, daemon=True).start()
print(run_at_once(7, inherited="inherited" in sys.argv))
before = os.listdir("/proc/self/task")
threading.Thread(target=done.wait, daemon=True).start()
name = {os.SCHED_FIFO: "FIFO", os.SCHED_OTHER: "OTHER"}
policy = {task: os.sched_getscheduler(int(task)) & ~os.SCHED_RESET_ON_FORK for task in os.listdir("/proc/self/task")}
print({name[policy[task]] for task in before}, {name[policy[task]] for task in policy if task not in before})
code = "import os; print(os.sched_getscheduler(0))"
print(name[int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)])
done.set()
"""


@pytest.mark.parametrize(("arguments", "later"), [((), "OTHER"), (("inherited",), "FIFO")])
def test_a_program_that_others_wait_for_runs_at_once(arguments, later):
    """Every thread that it has; what it starts later only where that was asked for."""
    command = [sys.executable, "-c", CLASSES, *arguments]
    told, threads, child = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if "refused" in told:
        pytest.skip(told)
    assert told == "SCHED_FIFO 7"
    assert (threads, child) == (f"{{'FIFO'}} {{'{later}'}}", later)


def test_the_scheduling_class_is_always_reported():
    """Whether SCHED_FIFO was granted or refused, the report says so, and normal stays normal."""
    words = []
    thread = threading.Thread(target=lambda: words.append(raise_scheduling_class(10)))
    thread.start()
    thread.join(10.0)
    assert words[0] == "SCHED_FIFO 10" or words[0].startswith("normal (")
    assert raise_scheduling_class(0) == "normal"


def start_in_the_normal_class():
    """Whatever class the tests' own process has."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


HELPERS = """
import os, threading
from video2act_ros.core.priority import raise_helper_threads
done = threading.Event()
helper = threading.Thread(target=done.wait)
helper.start()
print(raise_helper_threads({priority}))
tasks = [int(name) for name in os.listdir("/proc/self/task")]
print({{(os.sched_getscheduler(task), os.sched_getparam(task).sched_priority) for task in tasks}})
done.set()
"""


@pytest.mark.parametrize(("priority", "granted"), [(40, 30), (5, 1), (0, 0)])
def test_every_thread_of_the_process_stays_below_the_control_thread(priority, granted):
    """All threads get one class: SCHED_FIFO below the control thread's, or the normal one where refused."""
    script = HELPERS.format(priority=priority)
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=start_in_the_normal_class,
    )
    words, threads = run.stdout.splitlines()
    if words == f"SCHED_FIFO {granted}":
        assert threads == f"{{(1, {granted})}}"
    else:
        assert words.startswith("normal")
        assert threads == "{(0, 0)}"
