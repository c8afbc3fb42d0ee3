"""File formats: uploaded tables in CSV and JSON Lines, and CSV for spreadsheets."""
