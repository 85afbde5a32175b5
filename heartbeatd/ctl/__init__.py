"""heartbeatctl: what people ask of the agent. One file a verb; each has `add(parser)` and `run(arguments)`."""
