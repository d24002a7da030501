"""The applications, a folder each: they compose the rooms below, and never import each other."""
