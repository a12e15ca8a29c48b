"""Radios and buses whose devices share one medium, one file each.

Where the fate of a message follows from what was sent before it, a medium is a stage. Where it depends on
what others send later (collisions, priorities, tokens), it takes the message over until it is through.
"""
