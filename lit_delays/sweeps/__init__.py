"""From a sweep file to its runs, here or on a cluster."""
