"""The HTTP API of the twin service.

application  the app put together
guard        what is refused before any route sees it: hosts, origins, sizes, times
answers      how results and errors become responses
callers      who is calling, and what they may do
shadows      the REST interface of the AWS IoT shadow service
things       the registry, whole twins and their history
events       alarms and commands
access       certificates and the audit log
standing     health and metrics
"""
