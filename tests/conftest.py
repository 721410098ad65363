"""Its place here lets every room import `strategies`."""
