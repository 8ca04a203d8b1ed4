"""Exact replay: what made each chunk, computed again."""
