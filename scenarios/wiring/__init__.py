"""From a checked scenario to a running system: nodes, links, faults, and the words that exist."""
