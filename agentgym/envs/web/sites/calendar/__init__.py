"""The calendar of a small company: rooms, people and devices; book, move, cancel, invite, answer, find a free room."""
