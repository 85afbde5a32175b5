"""The configuration: options, the file that sets them, and the secrets beside it."""
