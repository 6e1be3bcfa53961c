"""Runs over ranges of past windows: which, when, and how far they are.

The runs themselves are the conductor's, as all others.
"""
