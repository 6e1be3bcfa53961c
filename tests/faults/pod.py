"""`python -m tests.faults.pod MODULE`: run an orchestrator as a pod that is never started again under its name.

Its own process id ends the name of its pod, so whoever is started in its place waits for the lease as any other.
"""

import os
import runpy
import sys

LEASE = "CONVERGENCE_ORCHESTRATOR_LEASE"


def main() -> None:
    module = sys.argv[1]
    del sys.argv[1]
    os.environ[LEASE] += f"-{os.getpid()}"
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
