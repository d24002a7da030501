"""What a training leaves: a pair of files a system, its run on disk and the network that is loaded from it."""
