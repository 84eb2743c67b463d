"""The stores: facts and read models on disk."""
