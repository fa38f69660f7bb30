"""Comparison reports: the HTML page, difference maps, votes. No torch, no video files."""
