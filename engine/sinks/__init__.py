"""Where announcements go: a file, a webhook, a Kafka topic; each takes them from the ledger."""
