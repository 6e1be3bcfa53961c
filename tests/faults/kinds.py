"""Kinds of faults, and what the members of a mesh are to one another: words of histories."""

from typing import Final

SIGNALS: Final = ("kill", "term", "stop")
LINKED: Final = ("cut", "refuse", "delay", "stall")
ANSWERED: Final = ("rest_429", "rest_500", "rest_503", "rest_lost")
STORED: Final = ("grpc_aborted", "grpc_unavailable", "grpc_exhausted", "grpc_lost", "grpc_slow")
OTHER: Final = ("disk", "clock", "usurp")
KINDS: Final = (*SIGNALS, *LINKED, *ANSWERED, *STORED, *OTHER)

ORCHESTRATOR: Final = "orchestrator"
WORKER: Final = "worker"
BIGQUERY: Final = "bigquery"
