"""Losses: pure functions of tensors, one value an example, with thin Keras classes around them."""
