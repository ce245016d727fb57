"""What is done again and again; the one that matters most is reconcile."""
