"""`python -m tests.faults.start MUTANT MODULE …`: run a module of the mesh with a bug planted in its process.

Runs in the engine's environment too, so it imports nothing else before it knows what to plant.
"""

import runpy
import sys


def main() -> None:
    mutant, module = sys.argv[1:3]
    del sys.argv[1:3]
    from tests.faults.mutants import plant  # noqa: PLC0415

    plant(mutant, module)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
