"""File formats: uploaded tables in CSV and JSON Lines, and CSV for spreadsheets. What parses or writes bytes may enter."""
