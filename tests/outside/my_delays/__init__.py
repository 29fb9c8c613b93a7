"""Parts of somebody else's: none of them is known to lit_delays."""
