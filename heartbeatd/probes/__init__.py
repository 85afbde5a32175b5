"""The probes: one file a source. A probe knows no store, and nothing of what its reading will be used for."""
