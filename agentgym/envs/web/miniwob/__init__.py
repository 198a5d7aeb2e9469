"""MiniWoB++: small pages with a goal each, from the installed ``miniwob`` wheel. See README.md."""
