"""Shows a study: tables, plots, pages."""
