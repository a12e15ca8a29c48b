"""The twin of the system: how things run (kernel), the MQTT machines, mirrored state, and the cloud."""
