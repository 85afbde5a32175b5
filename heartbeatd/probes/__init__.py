"""Looking: one file a source. A probe knows no sink, and nothing of what its reading will be used for."""
