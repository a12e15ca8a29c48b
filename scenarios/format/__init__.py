"""The scenario file: from text to checked variants, with every error at its place."""
