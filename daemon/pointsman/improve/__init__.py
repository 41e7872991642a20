"""Improve the classifier from its own traffic: keep texts and labels, collect, label, fit."""
