"""The web UI: pages rendered here, kept fresh by a small script; the API does the work."""
