"""What is kept of a run: bags written, read, replayed, compared and exported, and films of episodes."""
