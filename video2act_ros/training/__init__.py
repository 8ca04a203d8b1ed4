"""Demonstrations, losses and training of the small bundle that ships with the project."""
