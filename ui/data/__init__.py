"""Data that the pages show, with its licences in README.md."""
