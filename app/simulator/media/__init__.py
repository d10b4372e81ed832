"""Writers for the media files that the simulator produces."""
