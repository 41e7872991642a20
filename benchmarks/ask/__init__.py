"""Measure whether the ask decides: wrapped as clients wrap it, next to misleading material, and bare."""
