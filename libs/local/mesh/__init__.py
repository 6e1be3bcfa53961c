"""Starts, watches and stops the processes of the local mesh; everything it keeps is below one folder."""
