"""The processes of a validation: a client and servers that really compute and really send."""
