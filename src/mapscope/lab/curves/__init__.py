"""Curves of real maps, of their models, and of the article, in one picture."""
