"""Sans-IO MQTT: topic filters, packet sizes, client and broker session machines."""
