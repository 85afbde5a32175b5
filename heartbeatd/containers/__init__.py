"""The containers helper, which alone may read the Docker socket, and its client in the agent."""
