"""What the command line prints: tables, progress, summaries, results as JSON."""
