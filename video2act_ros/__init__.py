"""Real-robot control stack for Video2Act (arXiv 2512.03044) on ROS 2."""
