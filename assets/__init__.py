"""What exists: one module a layer, each an index of its tables."""
