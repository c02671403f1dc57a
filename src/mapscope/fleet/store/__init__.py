"""What is kept: raw profiles, indicators, places and findings, in SQLite or PostgreSQL."""
