"""leadledger: an event-sourced lead lifecycle engine."""
