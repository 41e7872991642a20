"""Keep files of rows and documents: bounded, and readable by their owner only."""
