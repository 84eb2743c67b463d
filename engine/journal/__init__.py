"""The columnar journal: histories as Parquet, made, extended, read and checked."""
