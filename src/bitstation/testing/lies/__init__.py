"""What attackers show: each lie once, for tests in memory and for the hostile HQ alike."""
