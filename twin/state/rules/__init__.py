"""Rules: what is to be done about messages, without any knowledge of where they run."""
