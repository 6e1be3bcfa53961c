"""The one place that opens clients of the Kubernetes API server, and says what its refusals mean."""
