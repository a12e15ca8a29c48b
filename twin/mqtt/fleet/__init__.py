"""Tens of thousands of MQTT clients in one thread, on one poller."""
