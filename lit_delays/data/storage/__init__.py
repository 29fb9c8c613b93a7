"""Data files: fetched, checked, packed once into a cache."""
