"""Networks: a catalogue from names to builders, taps and weights, and one file a network."""
