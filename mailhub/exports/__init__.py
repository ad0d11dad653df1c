"""Any table or segment of a project as a CSV or XLSX file, by a page or by the API."""
