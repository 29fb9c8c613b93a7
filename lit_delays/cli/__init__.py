"""Commands: options in, objects and files out. The only room that knows jsonargparse."""
