"""What of a stack runs on this computer, as its launch arguments say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from video2act_ros.ros.environment import ALL
from video2act_ros.ros.stack import (
    COMMAND,
    IN_PROCESS,
    RECORDER,
    SAFE_SOURCE,
    SYSTEM1,
    SYSTEM2,
    NodeSpec,
    WhenEnded,
    machines,
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stack's nodes here. All but `specs` are the launch arguments' values."""

    specs: tuple[NodeSpec, ...]
    control: str = ""
    record: str = ""
    machine: str = ALL
    namespace: str = ""
    system1_bundle: str = ""

    @classmethod
    def of(cls, specs: tuple[NodeSpec, ...], given: Mapping[str, str]) -> Deployment:
        """Return the deployment of a stack with these launch arguments, which others may be among."""
        names = ("control", "record", "machine", "namespace", "system1_bundle")
        return cls(specs, **{name: given[name] for name in names if name in given})

    @property
    def processes(self) -> tuple[NodeSpec, ...]:
        """Nodes that are processes of their own; the recorder comes along where `record` says so."""
        absent = idle_specs(self.specs, self.system1_bundle)
        present = tuple(
            spec
            for spec in self.specs
            if spec not in absent and (spec is not COMMAND or self.control != IN_PROCESS)
        )
        chosen = (*present, RECORDER) if self.record else present
        return tuple(spec for spec in chosen if self.machine in machines(spec))

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """The processes' nodes, and the command node where it shares System 1's process."""
        shared = self.control == IN_PROCESS and SYSTEM1 in self.processes
        return (*self.processes, COMMAND) if shared else self.processes

    @property
    def full_names(self) -> tuple[str, ...]:
        """Fully qualified names of the nodes."""
        prefix = f"/{self.namespace.strip('/')}".rstrip("/")
        return tuple(f"{prefix}/{spec.name}" for spec in self.nodes)

    def when_ended(self, spec: NodeSpec) -> WhenEnded:
        """Return what the end of a process means; with the command node inside it, that one's end decides."""
        shared = spec is SYSTEM1 and self.control == IN_PROCESS
        return COMMAND.when_ended if shared else spec.when_ended


def idle_specs(specs: tuple[NodeSpec, ...], system1_bundle: str) -> tuple[NodeSpec, ...]:
    """Return the nodes of a stack that are not started: the safe source, or both systems, whose place it takes."""
    if SAFE_SOURCE not in specs:
        return ()
    return (SAFE_SOURCE,) if system1_bundle else (SYSTEM1, SYSTEM2)
