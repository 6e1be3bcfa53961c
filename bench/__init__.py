"""Measures what the documents state, and writes it to `bench/results/`."""
