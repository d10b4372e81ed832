"""What a request means, whichever frontend it came from."""
