"""What people read: theme, figures, tables, numbers, the report page and the paper."""
