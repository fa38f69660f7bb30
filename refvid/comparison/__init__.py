"""`refvid compare`: the page of several candidates side by side, its pictures, and votes."""
