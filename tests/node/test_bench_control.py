"""The control benchmark's own judgement; its runs need the whole stack and are no test."""

from dataclasses import replace

import pytest
import yaml

from video2act_ros.core.config import CommandConfig
from video2act_ros.nodes.bench_control import ControlBenchRow, parameters_text, write_rows

ROW = ControlBenchRow(100.0, "SCHED_FIFO 40", 30.0, 2997, 3, 1e-5, 9e-4, 2e-2, 4.0, 3.0, 1.0, 6, 0.0)


def test_the_parameter_file_sets_what_the_command_node_has():
    """Each key is a parameter of the command node, of the right type, in any namespace."""
    ((name, content),) = yaml.safe_load(parameters_text(200, 0)).items()
    assert name == "/**/command"
    config = CommandConfig(**content["ros__parameters"])
    assert (config.rate_hz, config.realtime_priority) == (200.0, 0)
    assert isinstance(content["ros__parameters"]["rate_hz"], float)


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (ROW, True),
        (replace(ROW, missed_ticks=4), False),
        (replace(ROW, period_error_p99_s=1e-3), False),
        (replace(ROW, period_error_max_s=1.0), True),
    ],
)
def test_a_row_passes_by_p99_and_missed_share(row, passed, tmp_path):
    """p99 under 1 ms and at most 0.1 % of the due ticks missed; the maximum is only reported."""
    assert row.passed is passed
    path = tmp_path / "report.json"
    write_rows(path, (row,))
    assert f'"passed": {str(passed).lower()}' in path.read_text()
