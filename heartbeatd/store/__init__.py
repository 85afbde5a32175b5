"""The database: its layout, the one writer, what waits in memory while it cannot be written, and what reads it for people."""
