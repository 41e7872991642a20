"""Rules of the verdict. Pure: each function takes records and returns its faults, an empty list if there are none."""
