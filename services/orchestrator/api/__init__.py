"""The orchestrator's RPCs: messages in, domain calls, messages out."""
