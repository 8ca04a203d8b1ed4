"""What a live replay publishes, and when."""
