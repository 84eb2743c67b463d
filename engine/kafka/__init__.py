"""Touchpoints on Apache Kafka: how they are framed, where they lie, how they get there."""
