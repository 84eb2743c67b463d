"""Real servers for tests: Apache Kafka, PostgreSQL, and a proxy that breaks connections."""
