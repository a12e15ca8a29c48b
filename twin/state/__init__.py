"""What is mirrored: shadows and rules."""
