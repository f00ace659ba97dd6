"""The read-only status page: the tree, counts, freshness, log heads. One file of HTML, no scripts from elsewhere.

A browser asks one node, and that node asks the others' status by their public doors from its own side; what is away is
shown as away.
"""
