"""What is kept of a run: films of episodes (bags and replay come here too)."""
