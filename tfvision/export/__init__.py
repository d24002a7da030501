"""Exports: an application's signatures to a SavedModel, verified before it appears."""
