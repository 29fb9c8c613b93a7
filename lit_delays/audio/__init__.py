"""Sound in: recordings, the artificial inner ear, mel spectrograms. Knows nothing of files of spikes."""
