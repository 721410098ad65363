"""What a transport makes of the link between two machines, measured."""
