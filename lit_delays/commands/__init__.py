"""Commands beside training: data in, finished networks out."""
