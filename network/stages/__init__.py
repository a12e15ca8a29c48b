"""Impairments of a link, one file each; the file name is the YAML name."""
