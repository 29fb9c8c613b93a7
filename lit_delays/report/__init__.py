"""What runs came to: results, tables, intervals and the figure of an ablation."""
