"""A wiki about an invented island: pages with infoboxes and tables, categories, history, talk, search."""
