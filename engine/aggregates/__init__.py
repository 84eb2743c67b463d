"""Event-sourced aggregates: streams of facts."""
