"""The live queue."""
