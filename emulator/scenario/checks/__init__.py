"""What a scenario must not say."""
