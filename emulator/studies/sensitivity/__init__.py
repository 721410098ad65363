"""What a result rests on: every assumption of a scenario at half and at double, and all of them moved together."""
