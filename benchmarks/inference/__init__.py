"""Measure the speed of classification on this host, against other programs and the limits of the hardware."""
