"""The ROS 2 nodes. Each one only wires: convert, call the core, convert."""
