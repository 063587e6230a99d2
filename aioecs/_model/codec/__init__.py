"""How shapes are declared, read from and written to plain JSON values."""
