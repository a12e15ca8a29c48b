"""What the page Twins is made of: the client of the service, what is shown, and the parts of the page."""
