"""How the policies of `crowd` are trained: whole runs, and a search that follows what did well."""
