"""Everything the nodes share that touches ROS 2: parameters, messages, QoS, lifecycle, diagnostics."""
