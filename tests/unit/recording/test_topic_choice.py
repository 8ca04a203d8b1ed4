"""Which topics a bag gets."""

import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.recording.writing.jpeg_images import IMAGE
from video2act_ros.recording.writing.topic_choice import TopicChoice

NAMES = frozenset({"/high", "/high/compressed", "/low", "/joint_states"})


def test_whole_names_are_compared():
    """`/joint` alone does not bring `/joint_states`; what is excluded stays out whatever else names it."""
    choice = TopicChoice.of("/joint|/low|/high.*", ".*/compressed", jpeg=False)
    assert {name for name in NAMES if choice.wants(name, "any/msg/Any", NAMES)} == {"/low", "/high"}


@pytest.mark.parametrize(("jpeg", "wanted"), [(False, {"/high", "/low"}), (True, {"/low"})])
def test_an_image_that_is_published_compressed_is_not_compressed_again(jpeg, wanted):
    """With JPEG the raw twin would stand in the bag a second time; raw images are all kept."""
    choice = TopicChoice.of(".*", "", jpeg=jpeg)
    assert {name for name in ("/high", "/low") if choice.wants(name, IMAGE, NAMES)} == wanted


def test_an_expression_that_is_none_is_refused():
    """With the parameter's name."""
    with pytest.raises(ConfigurationError, match="parameter 'exclude' is no regular expression"):
        TopicChoice.of(".*", "(", jpeg=False)
