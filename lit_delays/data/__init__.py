"""Spikes in: files, generated patterns, batches. Knows nothing of networks or training."""
