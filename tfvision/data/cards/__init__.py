"""A camera's card, or a year of folders: its files, and what cameras say of the photos."""
