"""Checks: what is wrong with a set of photos, and a manifest without it."""
