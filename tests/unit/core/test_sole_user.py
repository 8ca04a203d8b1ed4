"""One thread owns a model; a second one is refused."""

import copy
import threading

import pytest

from video2act_ros.core.errors import ModelError
from video2act_ros.core.sole_user import SoleUser, one_thread

PATIENCE_S = 10.0


class Model:
    def __init__(self):
        self.sole_user = SoleUser()
        self.inside, self.go_on = threading.Event(), threading.Event()

    @one_thread
    def wait(self):
        self.inside.set()
        return self.go_on.wait(PATIENCE_S)

    @one_thread
    def nested(self, value):
        return self.quick(value)

    @one_thread
    def quick(self, value):
        return value


def test_a_second_thread_is_refused_until_the_first_has_ended():
    """It neither waits nor mixes in; afterwards the model is free."""
    model = Model()
    first = threading.Thread(target=model.wait)
    first.start()
    assert model.inside.wait(PATIENCE_S)
    with pytest.raises(ModelError, match="one thread owns a model"):
        model.quick(1)
    model.go_on.set()
    first.join(PATIENCE_S)
    assert model.nested(2) == 2


def test_a_copy_is_another_model():
    """And an error leaves the model free."""
    user = SoleUser()
    with user:
        assert isinstance(copy.deepcopy(user), SoleUser)
        assert copy.deepcopy(user) is not user
    with pytest.raises(ValueError, match="x"), user:
        raise ValueError("x")
    with user:
        pass
