"""What a server says about its node classes, and what their inputs accept."""
