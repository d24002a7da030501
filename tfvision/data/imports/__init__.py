"""Imports: what GBIF, iNaturalist and competitions write, read into a list of photos with their lineages."""
