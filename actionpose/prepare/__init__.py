"""Readers of the sources that corpora are made from; each runs once, and nothing else imports them."""
