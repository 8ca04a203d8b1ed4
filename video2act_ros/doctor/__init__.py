"""What this machine grants the stack: one finding per line, with the remedy. Imports no ROS."""
