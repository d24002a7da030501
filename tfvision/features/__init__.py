"""Images to vectors, by any network: of the catalogue, of a run, of an export or of TensorFlow Hub."""
