"""The program of heartbeatd-failed.service: tells the webhook that the agent does not run."""
