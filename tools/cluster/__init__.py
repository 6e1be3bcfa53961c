"""A Kubernetes of one node on this machine, from source and Debian's packages: README.md."""
