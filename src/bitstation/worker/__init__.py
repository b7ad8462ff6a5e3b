"""From a release to a running tool on this machine."""
