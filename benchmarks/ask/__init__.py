"""Measure whether the ask decides: wrapped as clients wrap it, beside material that speaks, and bare."""
