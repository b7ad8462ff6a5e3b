"""Places to get bytes from. All give the same bytes by digest; none is believed."""
