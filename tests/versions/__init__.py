"""The quick tests on every Python of the machine, with the newest and the oldest versions of what tfav needs."""
