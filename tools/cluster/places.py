"""Where the test cluster keeps its files, and the addresses that exist inside its network."""

import os
import pathlib
import sys
from typing import Final

SOURCE: Final = pathlib.Path(__file__).resolve().parent
HOME: Final = pathlib.Path(
    os.environ.get("CLUSTER_HOME") or pathlib.Path.home() / ".cache/convergence/cluster"
)
BIN: Final = HOME / "bin"
ARCHIVES: Final = HOME / "archives"
RUN: Final = HOME / "run"
"""The running cluster's certificates, configuration and logs; `down` removes it."""
PKI: Final = RUN / "pki"
LOGS: Final = RUN / "logs"
ADMIN: Final = RUN / "admin.kubeconfig"
INIT_PID: Final = RUN / "init.pid"

NETWORK: Final = "convergence-test"
NODE: Final = "node1"
NODE_IP: Final = "10.250.0.1"
API: Final = f"https://{NODE_IP}:6443"
POD_CIDR: Final = "10.244.0.0/16"
SERVICE_CIDR: Final = "10.96.0.0/16"
API_SERVICE_IP: Final = "10.96.0.1"
DNS_IP: Final = "10.96.0.10"


class Refusal(SystemExit):
    """Something is missing or did not work: ends the command with one sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"cluster: {sentence}")


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
