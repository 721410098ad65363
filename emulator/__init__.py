"""The world that plans act in: scenario, hosts, fabric, conductor, results and the command line."""
