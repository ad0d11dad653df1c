"""The doorway: templates, forms, CSRF, errors, paging, limits; what every room's pages share."""
