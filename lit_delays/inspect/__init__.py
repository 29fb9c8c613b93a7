"""What a network does and has learned: observations, tables and figures."""
