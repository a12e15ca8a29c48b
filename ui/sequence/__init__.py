"""The sequence diagram of a message chain: who sent what to whom, and how long it took."""
