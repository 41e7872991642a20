"""Count how conversations end on both sides of an experiment, and judge them."""
