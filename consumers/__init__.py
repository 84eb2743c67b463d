"""Reading touchpoints from Apache Kafka, each with an effect exactly once."""
