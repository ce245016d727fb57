"""What the server does by itself, pass after pass."""
