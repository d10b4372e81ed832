"""What people see in Discord, as plain data."""
