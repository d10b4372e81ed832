"""What the process shares with the system it runs on: signals, streams, logs, and the service manager."""
