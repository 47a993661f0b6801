"""The documentation as a site: the same files that GitHub shows, their links led to where they are in the site."""
