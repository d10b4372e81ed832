"""The sentence for each reason."""
