"""What changed between two states of knowledge, and what did it."""
