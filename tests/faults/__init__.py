"""What consumer and runner must survive, with real processes over real servers, and an oracle."""
