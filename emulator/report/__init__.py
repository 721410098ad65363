"""What a person looks at: the report in a terminal, charts, progress."""
