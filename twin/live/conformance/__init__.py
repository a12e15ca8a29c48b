"""What a broker does and does not: checks against the MQTT standard over plain sockets, for any broker."""
