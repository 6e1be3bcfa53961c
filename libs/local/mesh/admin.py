"""Settings with which auth's administrative commands work on a local mesh."""

from pathlib import Path

from libs.local.mesh.plans import import_path
from libs.local.mesh.states import PROJECT, State


def environment(state: State) -> dict[str, str]:
    """Return the settings of `python -m services.auth.admin_init` for the mesh of `state`."""
    at = state.addresses()
    return {
        "CONVERGENCE_AUTH_BIGQUERY_PROJECT": PROJECT,
        "CONVERGENCE_AUTH_BIGQUERY_ENDPOINT": f"http://{at['bigquery_rest']}",
        "CONVERGENCE_AUTH_BIGQUERY_STORAGE_ENDPOINT": at["bigquery_grpc"],
        "CONVERGENCE_AUTH_SIGNING_KEY": f"file:{Path(state.folder) / 'keys' / 'signing_key.pem'}",
        "PYTHONPATH": import_path(),
    }
