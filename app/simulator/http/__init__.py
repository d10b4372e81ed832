"""The simulator's HTTP and websocket interface."""
