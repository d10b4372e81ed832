"""Every sentence that people see, rendered from tagged reasons."""
