"""The worker: splits sources into chunks and streams a chunk's rows into streams of its attempt.

It decides what a cell, a row and a chunk are. It reads no configuration, keeps nothing between
calls and commits nothing: what counts is decided by the orchestrator, from what it answers.
"""
