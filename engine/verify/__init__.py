"""Whether a store is what it says: one module for each kind of check, and `verify` over all."""
