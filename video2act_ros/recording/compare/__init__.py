"""What several bundles make of one bag, as one page."""
