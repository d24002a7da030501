"""The smallest application: it names the colour of a photo by its mean. What every application's training must do is tested with it."""
