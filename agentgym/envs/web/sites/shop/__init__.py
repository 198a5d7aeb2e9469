"""The shop of the bundled sites."""
