"""Which orchestrator is active."""
