"""Bags in: messages, decoded, as typed streams of a robot."""
