"""Transforms: one SELECT each, whose result replaces its scope in a silver table."""
