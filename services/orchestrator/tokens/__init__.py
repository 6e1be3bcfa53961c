"""Who calls, and in whose name the orchestrator calls others."""
