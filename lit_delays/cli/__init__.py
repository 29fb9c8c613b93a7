"""Commands: options in, objects and files out. The only package that imports jsonargparse."""
