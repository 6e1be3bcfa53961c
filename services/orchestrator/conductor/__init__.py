"""Drives each run through its life: one task a run, one module a phase."""
