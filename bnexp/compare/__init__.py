"""Side by side: what finished runs say of each other. Reads the tracking store and never runs anything."""
