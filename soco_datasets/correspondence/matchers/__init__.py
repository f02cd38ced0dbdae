"""Matchers: how a query finds its position in the target from its similarities with the cells. One file each."""
