"""What nodes say to each other, and the routes that queries take."""
