"""What the sink ``cloudwatch`` uses of botocore, which has no types of its own."""
