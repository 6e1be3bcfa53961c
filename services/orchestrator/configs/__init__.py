"""Reads what a tenant's files say and resolves each pipeline into the spec that runs use."""
