"""Shadow conformance: a file of cases, held against the engine, the simulated system and a real service.

cases    reading a file of cases, with the line of what is wrong in it
verdict  what an observed case differs in, field by field
virtual  the engine by itself, and behind the simulated broker
live     whatever answers behind a real broker
"""
