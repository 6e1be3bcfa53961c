"""What every service shares: failures, names, parsing, calls, settings, telemetry."""
