"""Tables and pictures of results. No torch."""
