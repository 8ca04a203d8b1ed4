"""Bags as datasets."""
