"""How files are read and written: tables that people upload, and CSV that spreadsheets open."""
