"""Things in the field and the world they sense."""
