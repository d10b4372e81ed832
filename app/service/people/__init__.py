"""What a person may do, see and ask for, and what they want."""
