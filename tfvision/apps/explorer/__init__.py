"""The explorer: a web page that shows what deep features see in a collection of pictures."""
