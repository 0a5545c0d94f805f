"""Shards: what the trainer reads, and how photos become it."""
