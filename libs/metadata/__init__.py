"""The tables of dataset `metadata`, which auth creates and auth and orchestrator read and write."""
