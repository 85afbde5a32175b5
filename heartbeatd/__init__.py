"""heartbeatd: measures one Linux host every few seconds and tells a dead man's switch that it is alive."""

__version__ = "0.2.0"
