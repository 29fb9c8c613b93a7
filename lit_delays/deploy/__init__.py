"""What a network is once training is over: whole delays, folded norms, and the forms that others can run."""
