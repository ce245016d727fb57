"""Azure: virtual machines, one template deployment a batch."""
