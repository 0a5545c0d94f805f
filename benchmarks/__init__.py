"""Latency, stages and quality: measures, changes nothing."""
