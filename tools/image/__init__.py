"""The product's image, built, looked into and measured: docs/kubernetes.md."""
