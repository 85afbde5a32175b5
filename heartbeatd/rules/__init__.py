"""The rules: one kind of subject a file. A rule makes observations of what a cycle saw, and is pure."""
