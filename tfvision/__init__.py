"""tfvision: species, tattoos, style, an explorer and retrieval, on one TensorFlow and Keras base."""

__version__ = "0.2.0"
