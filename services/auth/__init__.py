"""Decides who calls: tenants, their API keys, and the identity tokens that the mesh believes.

Owns `metadata.tenants`, `metadata.api_keys` and the signing key. Leaves to each server what a caller with given scopes
may do there, and to the orchestrator the datasets and runs of a tenant.
"""
