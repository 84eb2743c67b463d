"""Reports: read models as frames in, documents that are ready for JSON out."""
