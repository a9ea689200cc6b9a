"""From raw files to tidy tables: reading, cells, people, exclusions, quality and contracts."""
