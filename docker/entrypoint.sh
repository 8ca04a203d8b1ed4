#!/usr/bin/env bash
# Sources ROS 2 and the stack, then becomes the command; the image's health check runs through it too.
set -e
# shellcheck source=/dev/null
source "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck source=/dev/null
source /opt/video2act/setup.bash
exec "$@"
