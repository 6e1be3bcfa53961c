"""The quality service as the orchestrator sees it."""
