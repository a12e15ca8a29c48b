"""Modelled links on the wire: real connections cross the links of a scenario, byte for byte."""
