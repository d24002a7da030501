"""Training, whatever is trained: the session, the loop, schedules, checkpoints and the folder of a run."""
