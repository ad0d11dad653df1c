"""The pages of campaigns: the table, the draft in steps, the preview, the running campaign."""
