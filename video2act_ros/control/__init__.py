"""Control: action chunks in, one joint command per control tick out. No model library, no ROS."""
