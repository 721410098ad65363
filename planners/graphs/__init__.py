"""Networks as the graph algorithms want them: units of a chain, spans, flows, prices."""
