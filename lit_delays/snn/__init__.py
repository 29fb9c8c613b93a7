"""The science: delays, neurons, networks. Needs torch alone."""
