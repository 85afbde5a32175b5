"""Telling and remembering: the heartbeat, the webhook, the database, systemd. A sink knows no probe."""
