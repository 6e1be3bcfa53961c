"""The edge of the local mesh: one port that hands each call to the service that owns it, byte for byte."""
