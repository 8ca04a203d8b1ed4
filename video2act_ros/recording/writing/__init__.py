"""Bags out: what a recorder does with messages, and the repair of what it could not end."""
