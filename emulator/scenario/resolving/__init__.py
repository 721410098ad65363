"""From what a user wrote to the plain numbers of a world."""
