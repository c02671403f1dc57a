"""The HTML report: one file with its data, its script and its styles, which asks nothing of any network.

``pack`` holds the data of a page as typed columns, ``html`` puts the file together; one module a kind of page
(``snapshot`` …) makes its pack. The script that draws them is built from ``ui/`` (see ``static/``).
"""
