"""What the sink ``cloudwatch`` uses of boto3, which has no types of its own."""

from boto3 import session as session
