"""Amazon EC2: its provider and its account, over boto3."""
