"""Photos and their labels, from a folder, a CSV or a download to batches of pixels."""
