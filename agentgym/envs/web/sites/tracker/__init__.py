"""The ticket tracker of the bundled sites."""
