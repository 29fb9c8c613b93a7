"""Configs and files that strangers made: what they may import, where they may write, how they are read."""
