"""What happens beside the gradient steps, one idea a file."""
