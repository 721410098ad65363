"""What follows from what was seen: users who ask anew, servers that are switched on and off."""
