"""The program of heartbeatd-failed.service: has people told that the agent does not run."""
