"""The decisions: functions of their arguments alone. No clock, file, socket, log, environment or randomness in here."""
