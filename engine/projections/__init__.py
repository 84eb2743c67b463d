"""Read models: folded histories to rows."""
