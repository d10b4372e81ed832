"""Results as the page lists them, and their thumbnails."""
