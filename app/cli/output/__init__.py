"""What the terminal shows about jobs."""
