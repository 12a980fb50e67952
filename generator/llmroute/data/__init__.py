"""Files that ship with the package; what is generated among them says so in its first line."""
