"""The command `demo`: what it shows and measures, with embedded simulators."""
