"""Decides what happens to runs, journals it, and has it done.

Owns the state machine of runs, the journal, the plan of every run, the publishing statement and the transforms. Leaves
to ingest what is in a source, to quality what a suite means, to auth who calls.
"""
