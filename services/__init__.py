"""The four services. They meet only over gRPC."""
