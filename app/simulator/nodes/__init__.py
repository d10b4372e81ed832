"""The node classes that the simulator can execute."""
