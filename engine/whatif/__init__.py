"""What other rules would have made of all history, and how that is told."""
