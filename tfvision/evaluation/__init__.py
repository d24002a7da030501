"""Measures: rankings, classifications, probabilities and matches judged, with reports to look at."""
