"""Runs seen from outside: results, tables, figures."""
