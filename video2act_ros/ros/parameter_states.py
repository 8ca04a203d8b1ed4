"""Asks every node for all its parameters, once: what a bag needs to know before the first change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterEvent
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node

_PATIENCE_S = 30.0  # before a question is put again; a node that loads a model answers late


@dataclass(slots=True)
class _Question:
    list_client: Any
    get_client: Any
    begun_s: float = field(default_factory=time.monotonic)
    asked: bool = False
    answered: bool = False


class ParameterStates:
    """Finds nodes and asks them. `scan` is called now and then, in the executor's thread, as are the answers."""

    def __init__(self, node: Node, receive: Callable[[ParameterEvent], None]) -> None:
        """Prepare.

        Args:
            node: whose clients are used.
            receive: gets an event for each node, with all its parameters as new ones.
        """
        self._node = node
        self._receive = receive
        self._known: set[str] = set()
        self._questions: dict[str, _Question] = {}

    def forget(self) -> None:
        """Ask every node again."""
        self._known.clear()

    def scan(self) -> None:
        """Ask nodes that are new, and those anew that do not answer."""
        present = {
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self._node.get_node_names_and_namespaces()
            if not name.startswith("_")
        }
        self._known &= present
        for name in set(self._questions) - present:
            self._drop(name)
        for name in present - self._known - set(self._questions):
            self._questions[name] = _Question(
                self._node.create_client(ListParameters, f"{name}/list_parameters"),
                self._node.create_client(GetParameters, f"{name}/get_parameters"),
            )
        for name, question in list(self._questions.items()):
            self._pursue(name, question)

    def _pursue(self, name: str, question: _Question) -> None:
        if question.answered:
            self._known.add(name)
        if question.answered or time.monotonic() - question.begun_s > _PATIENCE_S:
            self._drop(name)
            return
        ready = question.list_client.service_is_ready() and question.get_client.service_is_ready()
        if ready and not question.asked:
            question.asked = True
            future = question.list_client.call_async(ListParameters.Request())
            future.add_done_callback(lambda done: self._listed(name, question, done.result()))

    def _drop(self, name: str) -> None:
        question = self._questions.pop(name)
        self._node.destroy_client(question.list_client)
        self._node.destroy_client(question.get_client)

    def _listed(self, name: str, question: _Question, answer: ListParameters.Response | None) -> None:
        if answer is None or question is not self._questions.get(name):
            return
        names = list(answer.result.names)
        future = question.get_client.call_async(GetParameters.Request(names=names))
        future.add_done_callback(lambda done: self._answered(name, names, question, done.result()))

    def _answered(
        self, name: str, names: list[str], question: _Question, answer: GetParameters.Response | None
    ) -> None:
        if answer is None or len(answer.values) != len(names):
            return
        question.answered = True
        parameters = [
            Parameter(name=key, value=value) for key, value in zip(names, answer.values, strict=True)
        ]
        event = ParameterEvent(node=name, new_parameters=parameters)
        event.stamp = self._node.get_clock().now().to_msg()
        self._receive(event)
